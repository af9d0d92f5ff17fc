(** * TightDown.v -- the family on which N top-down stages fall to 1/N

    Items 0 and 1: heavy, (N+1, q+1); items 2 to N-1: light, (1, q); item N: (N+2, 2q).
    Capacities [c 1 = 2N] and [c i = 2N + i] for i >= 2.  All but item N are optimal at
    [c N]; each stage drops a light item, the last one a heavy one: q + 1 of N q.  *)
From Coq Require Import Arith Lia Bool.
Require Import Knapsack.

Section Family.
  Variables N q : nat.
  Hypothesis HN : 2 <= N.
  Hypothesis Hq : 1 <= q.
  Definition wt (i : nat) := if i <? 2 then N + 1 else if i <? N then 1 else N + 2.
  Definition pr (i : nat) := if i <? 2 then q + 1 else if i <? N then q else 2 * q.
  Definition cp (i : nat) := if i <=? 1 then 2 * N else 2 * N + i.
  (** D i: the first i items for i >= 2, and one heavy item for i = 1. *)
  Definition dn (i : nat) : sel := fun x => x <? i.

  (** A selection is described by its heavy items, the number of light ones, and the last item. *)
  Definition h0 (T : sel) := if T 0 then 1 else 0.
  Definition h1 (T : sel) := if T 1 then 1 else 0.
  Definition hl (T : sel) := if T N then 1 else 0.
  Definition li (T : sel) := tot one (fun i => T (2 + i)) (N - 2).

  Lemma split_tot f a b z T :
    (forall i, i < 2 -> f i = a) -> (forall i, 2 <= i -> i < N -> f i = b) -> f N = z ->
    tot f T (S N) = a * (h0 T + h1 T) + b * li T + z * hl T.
  Proof.
    intros Fa Fb Fz. unfold h0, h1, hl, li. cbn [tot]. rewrite Fz.
    assert (G : forall m, 2 + m <= N -> tot f T (2 + m) = a * ((if T 0 then 1 else 0) + (if T 1 then 1 else 0))
                                     + b * tot one (fun i => T (2 + i)) m).
    { induction m as [|m IH]; intros Hm.
      - simpl. rewrite !Fa by lia. destruct (T 0), (T 1); lia.
      - rewrite Nat.add_succ_r. cbn [tot]. rewrite IH by lia. rewrite Fb by lia. unfold one.
        destruct (T (2 + m)); lia. }
    replace (tot f T N) with (tot f T (2 + (N - 2))) by (f_equal; lia). rewrite G by lia.
    destruct (T N); lia.
  Qed.
  Lemma W_f T : W (S N) wt T = (N + 1) * (h0 T + h1 T) + 1 * li T + (N + 2) * hl T.
  Proof.
    apply split_tot; unfold wt; intros.
    - destruct (Nat.ltb_spec i 2); lia.
    - destruct (Nat.ltb_spec i 2); [lia|]. destruct (Nat.ltb_spec i N); lia.
    - destruct (Nat.ltb_spec N 2); [lia|]. destruct (Nat.ltb_spec N N); lia.
  Qed.
  Lemma P_f T : P (S N) pr T = (q + 1) * (h0 T + h1 T) + q * li T + (2 * q) * hl T.
  Proof.
    apply split_tot; unfold pr; intros.
    - destruct (Nat.ltb_spec i 2); lia.
    - destruct (Nat.ltb_spec i 2); [lia|]. destruct (Nat.ltb_spec i N); lia.
    - destruct (Nat.ltb_spec N 2); [lia|]. destruct (Nat.ltb_spec N N); lia.
  Qed.
  Lemma tot_one_bound T m : tot one T m <= m.
  Proof. induction m as [|m IH]; simpl; [lia|]. unfold one at 2. destruct (T m); lia. Qed.
  Lemma li_le T : li T <= N - 2.
  Proof. apply tot_one_bound. Qed.
  Lemma hh T : h0 T <= 1 /\ h1 T <= 1 /\ hl T <= 1.
  Proof. unfold h0, h1, hl. destruct (T 0), (T 1), (T N); lia. Qed.
  Lemma ones_first a m : a <= m -> tot one (fun i => i <? a) m = a.
  Proof.
    induction m as [|m IH]; intros H; simpl; [lia|].
    destruct (Nat.eq_dec a (S m)) as [->|Na].
    - rewrite (tot_ext one _ (fun i => i <? m)).
      + destruct (Nat.ltb_spec m (S m)); [|lia].
        assert (G : forall r, r <= m -> tot one (fun i => i <? m) r = r).
        { induction r as [|r IHr]; intros Hr; simpl; [lia|]. rewrite IHr by lia.
          destruct (Nat.ltb_spec r m); [unfold one; lia|lia]. }
        rewrite G by lia. unfold one. lia.
      + intros i Hi. destruct (Nat.ltb_spec i (S m)), (Nat.ltb_spec i m); lia || reflexivity.
    - rewrite IH by lia. destruct (Nat.ltb_spec m a); lia.
  Qed.
  Lemma dn_li i : 2 <= i -> i <= N -> li (dn i) = i - 2 /\ h0 (dn i) = 1 /\ h1 (dn i) = 1 /\ hl (dn i) = 0.
  Proof.
    intros H1 H2. unfold li, h0, h1, hl, dn. split; [|split; [|split]].
    - transitivity (tot one (fun x => x <? i - 2) (N - 2)); [|apply ones_first; lia].
      apply tot_ext. intros x _. destruct (Nat.ltb_spec (2 + x) i), (Nat.ltb_spec x (i - 2)); lia || reflexivity.
    - destruct (Nat.ltb_spec 0 i); lia.
    - destruct (Nat.ltb_spec 1 i); lia.
    - destruct (Nat.ltb_spec N i); lia.
  Qed.
  Lemma li_sub T i : sub (S N) T (dn i) -> 2 <= i -> i <= N -> li T <= i - 2.
  Proof.
    intros H H1 H2. destruct (dn_li i H1 H2) as [<- _]. apply tot_le. intros x Hx E. apply (H (2 + x)); auto. lia.
  Qed.

  Theorem family_chain :
    all_fit (S N) wt (cp 1) /\ (forall j, 1 <= j -> j < N -> cp j <= cp (S j)) /\
    top_down_chain (S N) wt pr N cp dn /\ P (S N) pr (dn 1) = q + 1 /\
    exists opt, is_OPT (S N) wt pr (cp 1) opt /\ N * q <= opt.
  Proof.
    assert (P1 : P (S N) pr (dn 1) = q + 1).
    { rewrite P_f. assert (E : li (dn 1) = 0 /\ h0 (dn 1) = 1 /\ h1 (dn 1) = 0 /\ hl (dn 1) = 0).
      { split; [|unfold h0, h1, hl, dn; destruct (Nat.ltb_spec N 1); simpl; lia].
        unfold li. transitivity (tot one none (N - 2)); [|apply tot_none].
        apply tot_ext. intros i _. unfold dn. destruct (Nat.ltb_spec (2 + i) 1); [lia|reflexivity]. }
      destruct E as (-> & -> & -> & ->). lia. }
    split. { intros i _. unfold wt, cp. simpl. destruct (i <? 2), (i <? N); lia. }
    split. { intros j H1 H2. unfold cp. destruct (Nat.leb_spec j 1), (Nat.leb_spec (S j) 1); lia. }
    split; [split|split; [exact P1|]].
    - destruct (dn_li N HN (le_n N)) as (E1 & E2 & E3 & E4). split.
      + unfold feasible. rewrite W_f, E1, E2, E3, E4. unfold cp. destruct (Nat.leb_spec N 1); lia.
      + intros T HT. unfold feasible in HT. rewrite W_f in HT. rewrite !P_f, E1, E2, E3, E4.
        unfold cp in HT. destruct (Nat.leb_spec N 1) in HT; [lia|].
        pose proof (li_le T) as L. destruct (hh T) as (Z1 & Z2 & Z3).
        set (h := h0 T + h1 T) in *. assert (h <= 2) by (unfold h; lia). clearbody h.
        destruct (Nat.eq_dec (hl T) 0) as [->|Zl].
        * assert (q * li T <= q * (N - 2)) by (apply Nat.mul_le_mono_l; auto).
          assert ((q + 1) * h <= (q + 1) * 2) by (apply Nat.mul_le_mono_l; auto). lia.
        * assert (El : hl T = 1) by lia. rewrite El in *.
          assert (h = 0 \/ h = 1 \/ h = 2) as [->|[->| ->]] by lia; [| |lia].
          { assert (q * li T <= q * (N - 2)) by (apply Nat.mul_le_mono_l; auto). lia. }
          assert (li T + 1 <= N - 2) by lia.
          assert (q * (li T + 1) <= q * (N - 2)) by (apply Nat.mul_le_mono_l; auto). lia.
    - intros i H1 H2. destruct (Nat.eq_dec i 1) as [->|Ni].
      + destruct (dn_li 2 ltac:(lia) HN) as (E1 & E2 & E3 & E4).
        split. { intros x _ E. unfold dn in *. apply Nat.ltb_lt in E. apply Nat.ltb_lt. lia. }
        split.
        { unfold feasible. rewrite W_f. assert (E : li (dn 1) = 0 /\ h0 (dn 1) = 1 /\ h1 (dn 1) = 0 /\ hl (dn 1) = 0).
          { split; [|unfold h0, h1, hl, dn; destruct (Nat.ltb_spec N 1); simpl; lia].
            unfold li. transitivity (tot one none (N - 2)); [|apply tot_none].
            apply tot_ext. intros i _. unfold dn. destruct (Nat.ltb_spec (2 + i) 1); [lia|reflexivity]. }
          destruct E as (-> & -> & -> & ->). unfold cp. simpl. lia. }
        intros T T1 T2. rewrite P1. unfold feasible in T2. rewrite W_f in T2. rewrite P_f.
        pose proof (li_sub T 2 T1 ltac:(lia) HN) as L. destruct (hh T) as (Z1 & Z2 & Z3).
        assert (Zl : hl T = 0).
        { unfold hl. destruct (T N) eqn:EN; auto. specialize (T1 N ltac:(lia) EN). unfold dn in T1.
          apply Nat.ltb_lt in T1. lia. }
        rewrite Zl in *. replace (li T) with 0 in * by lia. unfold cp in T2. simpl (1 <=? 1) in T2. cbv iota in T2.
        set (h := h0 T + h1 T) in *. assert (h <= 2) by (unfold h; lia). clearbody h.
        assert (h = 0 \/ h = 1 \/ h = 2) as [->|[->| ->]] by lia; lia.
      + destruct (dn_li (S i) ltac:(lia) ltac:(lia)) as (E1 & E2 & E3 & E4).
        destruct (dn_li i ltac:(lia) ltac:(lia)) as (F1 & F2 & F3 & F4).
        split. { intros x _ E. unfold dn in *. apply Nat.ltb_lt in E. apply Nat.ltb_lt. lia. }
        split. { unfold feasible. rewrite W_f, F1, F2, F3, F4. unfold cp. destruct (Nat.leb_spec i 1); lia. }
        intros T T1 T2. unfold feasible in T2. rewrite W_f in T2. rewrite !P_f, F1, F2, F3, F4.
        pose proof (li_sub T (S i) T1 ltac:(lia) ltac:(lia)) as L. destruct (hh T) as (Z1 & Z2 & Z3).
        assert (Zl : hl T = 0).
        { unfold hl. destruct (T N) eqn:EN; auto. specialize (T1 N ltac:(lia) EN). unfold dn in T1.
          apply Nat.ltb_lt in T1. lia. }
        rewrite Zl in *. unfold cp in T2. destruct (Nat.leb_spec i 1) in T2; [lia|].
        set (h := h0 T + h1 T) in *. assert (h <= 2) by (unfold h; lia). clearbody h.
        assert (h <= 1 \/ h = 2) as [Hh| ->] by lia.
        * assert (q * li T <= q * (i - 1)) by (apply Nat.mul_le_mono_l; lia).
          assert ((q + 1) * h <= (q + 1) * 1) by (apply Nat.mul_le_mono_l; auto).
          assert (q * (i - 1) = q * (i - 2) + q) by nia. lia.
        * assert (li T <= i - 2) by lia.
          assert (q * li T <= q * (i - 2)) by (apply Nat.mul_le_mono_l; auto). lia.
    - destruct (OPT_exists (S N) wt pr (cp 1)) as [opt Hopt]. exists opt. split; auto.
      destruct Hopt as (O & [_ best] & <-).
      pose (T := fun x => 2 <=? x).
      assert (E : li T = N - 2 /\ h0 T = 0 /\ h1 T = 0 /\ hl T = 1).
      { unfold li, h0, h1, hl, T. split; [|destruct (Nat.leb_spec 2 N); simpl; lia].
        transitivity (tot one (fun x => x <? N - 2) (N - 2)); [|apply ones_first; lia].
        apply tot_ext. intros i Hi. destruct (Nat.leb_spec 2 (2 + i)), (Nat.ltb_spec i (N - 2)); lia || reflexivity. }
      destruct E as (E1 & E2 & E3 & E4).
      assert (F : feasible (S N) wt (cp 1) T).
      { unfold feasible. rewrite W_f, E1, E2, E3, E4. unfold cp. simpl. lia. }
      specialize (best T F). rewrite P_f, E1, E2, E3, E4 in best.
      assert (N * q = q * (N - 2) + 2 * q) by nia. lia.
  Qed.
End Family.

(** No fraction g/h above 1/N is guaranteed by N top-down stages. *)
Corollary top_down_stages_sharp N g h : 2 <= N -> h < N * g ->
  exists n w p c D opt, all_fit n w (c 1) /\ (forall j, 1 <= j -> j < N -> c j <= c (S j)) /\
    top_down_chain n w p N c D /\ is_OPT n w p (c 1) opt /\ h * P n p (D 1) < g * opt.
Proof.
  intros HN H. destruct (family_chain N (h + 1) HN ltac:(lia)) as (h1' & h2 & h3 & h4 & opt & h5 & h6).
  exists (S N), (wt N), (pr N (h + 1)), (cp N), dn, opt.
  split; [auto|split; [auto|split; [auto|split; [auto|]]]]. rewrite h4.
  assert ((h + 1) * (h + 1) <= N * g * (h + 1)) by (apply Nat.mul_le_mono_r; lia).
  assert (g * (N * (h + 1)) <= g * opt) by (apply Nat.mul_le_mono_l; auto). lia.
Qed.
