(** * TopDown.v -- several top-down stages: T5, exactly 1/N

    [p (D i) >= OPT (c i) / (N - i + 1)] for N stages over capacities
    [c 1 <= c 2 <= ... <= c N].  That no more is possible: TightDown.v.

    The idea.  [B] is optimal at [c 1].  What a stage drops of [B] is exchanged for
    a block of the second stage and one item [s] more; the blocks of different
    stages are disjoint, and [s] is the same for all of them.                  *)
From Coq Require Import Arith Lia Bool.
Require Import Knapsack.

Section Fill.
  Variable n : nat.
  Variables w : nat -> nat.
  (** From a set of items of weight at most h each, and of t at least together, some weigh between t and t + h. *)
  Lemma fill (R : sel) h t : (forall i, i < n -> R i = true -> w i <= h) -> t <= W n w R ->
    exists X, sub n X R /\ t <= W n w X /\ (W n w X <= t + h) /\ (t = 0 -> W n w X = 0).
  Proof.
    intros Hh. unfold W.
    assert (G : forall m, m <= n -> t <= tot w R m ->
      exists X, sub n X R /\ t <= tot w X n /\ tot w X n <= t + h /\ (t = 0 -> tot w X n = 0)).
    { induction m as [|m IH]; intros Hm Ht.
      - exists none. rewrite tot_none. simpl in Ht. split; [apply sub_none|]. lia.
      - destruct (le_lt_dec t (tot w R m)) as [L|L]; [apply IH; auto; lia|].
        exists (fun i => R i && (i <? S m)).
        assert (E : tot w (fun i => R i && (i <? S m)) n = tot w R (S m)).
        { assert (K : forall r, tot w (fun i => R i && (i <? S m)) (S m + r) = tot w R (S m)).
          { remember (tot w R (S m)) as V eqn:EV. induction r as [|r IHr].
            - rewrite Nat.add_0_r, EV. apply tot_ext. intros i Hi.
              destruct (Nat.ltb_spec i (S m)); [apply andb_true_r|lia].
            - rewrite Nat.add_succ_r. cbn [tot]. rewrite IHr.
              destruct (Nat.ltb_spec (S m + r) (S m)); [lia|]. rewrite andb_false_r. lia. }
          specialize (K (n - S m)). replace (S m + (n - S m)) with n in K by lia. exact K. }
        rewrite E. split.
        + intros i _ F. apply andb_prop in F. tauto.
        + simpl. simpl in Ht. destruct (R m) eqn:Em.
          * specialize (Hh m ltac:(lia) Em). lia.
          * lia. }
    intros Ht. apply (G n); auto.
  Qed.
End Fill.

Section TopDown.
  Variable n : nat.
  Variables w p : nat -> nat.
  Notation W := (W n w).
  Notation P := (P n p).
  Notation sub := (sub n).

  Variables (c : nat) (C : nat -> nat) (N : nat) (E : nat -> sel) (B : sel).
  (** [E (S N)] is everything, [E j] a best part of [E (S j)] at the capacity [C j]. *)
  Hypothesis light : all_fit n w c.
  Hypothesis top : forall i, E (S N) i = true.
  Variable m0 : nat.
  Hypothesis down : forall j, m0 <= j -> j <= N -> c <= C j /\ restricts n w p (C j) (E (S j)) (E j).
  Hypothesis HB : W B <= c.

  Lemma down_sub m r : m0 <= m -> m + r <= S N -> sub (E m) (E (m + r)).
  Proof.
    intros Hm. induction r as [|r IH]; intros Hr.
    - rewrite Nat.add_0_r. apply sub_refl.
    - eapply sub_trans; [apply IH; lia|]. rewrite Nat.add_succ_r.
      apply (proj2 (down (m + r) ltac:(lia) ltac:(lia))).
  Qed.

  (** Exchange: what [G], outside [D] but inside [U], is worth, is at most what any part of [D] of its weight is worth. *)
  Lemma exchange_le e U D G R : restricts n w p e U D -> sub G U -> disj n G D -> sub R D ->
    W G <= W R -> P G <= P R.
  Proof.
    intros (HS & HF & best) HG Hd HR HW. unfold feasible in *.
    assert (EW : forall f, tot f D n = tot f R n + tot f (minus D R) n).
    { intros f. rewrite (tot_cap_minus f D R). f_equal. apply tot_ext. intros i Hi. unfold cap.
      specialize (HR i Hi). destruct (R i); [rewrite HR by auto; reflexivity|apply andb_false_r]. }
    assert (dd : disj n G (minus D R)).
    { intros i Hi F. unfold minus. rewrite (Hd i Hi F). reflexivity. }
    assert (Q : P (cup G (minus D R)) <= P D).
    { apply best.
      - intros i Hi F. unfold cup in F. apply orb_prop in F as [F|F]; [auto|].
        apply HS; auto. unfold minus in F. apply andb_prop in F. tauto.
      - rewrite W_cup by auto. pose proof (EW w). unfold Knapsack.W in *. lia. }
    rewrite P_cup in Q by auto. pose proof (EW p). unfold Knapsack.P in *. lia.
  Qed.

  Theorem levels m : m0 <= m -> m <= S N ->
    forall x, (forall T, sub T (E m) -> W T <= c -> P T <= x) -> P B <= (S N - m + 1) * x.
  Proof.
    intros Hm HmN. remember (S N - m) as r eqn:Er. revert m Hm HmN Er.
    induction r as [|r IH]; intros m Hm HmN Er x Hx.
    { replace m with (S N) in * by lia. simpl. rewrite Nat.add_0_r. apply Hx; auto. intros i _ _. apply top. }
    destruct (le_lt_dec (W (E m)) c) as [L|L].
    { (* E m fits: it is a best part of E (S m) at c *)
      destruct (down m Hm ltac:(lia)) as [Hc (_ & _ & best)].
      assert (P B <= (r + 1) * x).
      { apply (IH (S m)); try lia. intros T T1 T2.
        apply Nat.le_trans with (P (E m)); [apply best; auto; unfold feasible; lia|].
        apply Hx; auto using sub_refl. }
      lia. }
    set (I := cap B (E m)). set (Q := minus (E m) B).
    assert (EQ : W (E m) = W (cap (E m) B) + W Q) by apply tot_cap_minus.
    assert (EI : forall f, tot f (cap (E m) B) n = tot f I n).
    { intros f. apply tot_ext. intros i _. unfold I, cap. apply andb_comm. }
    assert (WQ : c < W I + W Q). { unfold Knapsack.W in *. rewrite <- (EI w). lia. }
    (* the heaviest item of Q *)
    destruct (largest w Q n) as (s & Hs & Qs & heavy).
    { destruct (Nat.eq_dec (tot one Q n) 0) as [Z|]; [|lia]. exfalso.
      assert (W Q <= c * tot one Q n) by (apply tot_upper; intros; apply light; auto).
      assert (W I <= W B) by (apply tot_le; intros i _; unfold I, cap; destruct (B i); simpl; congruence).
      rewrite Z, Nat.mul_0_r in *. lia. }
    assert (Es : E m s = true) by (unfold Q, minus in Qs; apply andb_prop in Qs; tauto).
    assert (ps : p s <= x).
    { rewrite <- (P_single n p s Hs). apply Hx; [apply sub_single; auto|]. rewrite W_single; auto. }
    set (Q' := minus Q (single s)).
    assert (WQ' : W Q = w s + W Q') by (apply tot_remove; auto).
    (* levels m .. m+q-1 are paid for by b and q times s *)
    assert (G : forall q, m + q <= S N -> exists b, sub b Q' /\
      W I + W b <= W (cap B (E (m + q))) /\
      P (cap B (E (m + q))) <= P I + P b + q * p s).
    { induction q as [|q IHq]; intros Hq.
      - exists none. rewrite Nat.add_0_r. fold I.
        assert (W none = 0) by apply tot_none. split; [apply sub_none|]. lia.
      - destruct IHq as (b & h1 & h2 & h3); [lia|].
        rewrite Nat.add_succ_r. set (j := m + q) in *.
        destruct (down j ltac:(unfold j; lia) ltac:(lia)) as [Hc Hr].
        set (G := minus (cap B (E (S j))) (E j)).
        assert (EG : forall f, tot f (cap B (E (S j))) n = tot f (cap B (E j)) n + tot f G n).
        { intros f. unfold G. rewrite (tot_cap_minus f (cap B (E (S j))) (E j)). f_equal.
          apply tot_ext. intros i Hi. unfold cap. pose proof (proj1 Hr i Hi) as S1.
          destruct (E j i); [rewrite S1 by reflexivity; rewrite !andb_true_r|rewrite !andb_false_r]; reflexivity. }
        (* the room that is left in Q' *)
        set (R := minus Q' b).
        assert (ER : W Q' = W b + W R).
        { unfold R. pose proof (tot_cap_minus w Q' b) as K. unfold Knapsack.W. rewrite K. f_equal.
          apply tot_ext. intros i Hi. unfold cap. specialize (h1 i Hi).
          destruct (b i); [rewrite h1 by auto; reflexivity|apply andb_false_r]. }
        assert (HRh : forall i, i < n -> R i = true -> w i <= w s).
        { intros i Hi F. apply heavy; auto. unfold R, Q', minus in F.
          apply andb_prop in F as [F _]. apply andb_prop in F. tauto. }
        assert (WBS : W (cap B (E (S j))) <= W B).
        { apply tot_le. intros i _. unfold cap. destruct (B i); simpl; congruence. }
        assert (EGw : W (cap B (E (S j))) = W (cap B (E j)) + W G) by apply EG.
        assert (EGp : P (cap B (E (S j))) = P (cap B (E j)) + P G) by apply EG.
        destruct (fill n w R (w s) (W G - w s) HRh) as (X & X1 & X2 & X3 & X4); [lia|].
        assert (dbX : disj n b X).
        { intros i Hi F. destruct (X i) eqn:EX; auto. specialize (X1 i Hi EX). unfold R, minus in X1.
          rewrite F in X1. rewrite andb_false_r in X1. discriminate. }
        assert (XQ' : sub X Q') by (eapply sub_trans; [exact X1|apply sub_minus]).
        assert (dXs : disj n X (single s)).
        { intros i Hi F. specialize (XQ' i Hi F). unfold Q', minus in XQ'.
          apply andb_prop in XQ' as [_ Z]. apply negb_true_iff in Z. exact Z. }
        assert (PG : P G <= P X + p s).
        { rewrite <- (P_single n p s Hs), <- P_cup by auto.
          apply (exchange_le (C j) (E (S j)) (E j)); auto.
          - intros i _ F. unfold G, minus, cap in F. apply andb_prop in F as [F _].
            apply andb_prop in F. tauto.
          - intros i _ F. unfold G, minus in F. apply andb_prop in F as [_ F].
            apply negb_true_iff in F. exact F.
          - apply sub_trans with (E m); [|apply down_sub; unfold j in *; lia].
            intros i Hi F. unfold cup in F. apply orb_prop in F as [F|F].
            + specialize (XQ' i Hi F). unfold Q', Q, minus in XQ'. apply andb_prop in XQ' as [Z _].
              apply andb_prop in Z. tauto.
            + unfold single in F. apply Nat.eqb_eq in F. subst; auto.
          - rewrite W_cup, W_single by auto. lia. }
        exists (cup b X). split.
        { intros i Hi F. unfold cup in F. apply orb_prop in F as [F|F]; auto. }
        rewrite W_cup, P_cup by auto. split; [|lia].
        destruct (Nat.eq_dec (W G - w s) 0) as [Z|Z]; [specialize (X4 Z)|]; lia. }
    destruct (G (S r)) as (b & h1 & h2 & h3); [lia|].
    replace (m + S r) with (S N) in * by lia.
    assert (EB : forall f, tot f (cap B (E (S N))) n = tot f B n).
    { intros f. apply tot_ext. intros i _. unfold cap. rewrite top. apply andb_true_r. }
    assert (EBw : W (cap B (E (S N))) = W B) by apply EB.
    assert (EBp : P (cap B (E (S N))) = P B) by apply EB.
    assert (dIb : disj n I b).
    { intros i Hi F. destruct (b i) eqn:Eb; auto. specialize (h1 i Hi Eb). unfold Q', Q, minus in h1.
      unfold I, cap in F. apply andb_prop in F as [F _]. rewrite F in h1.
      rewrite andb_false_r in h1. discriminate. }
    assert (P I + P b <= x).
    { rewrite <- P_cup by auto. apply Hx; [|rewrite W_cup by auto; lia].
      intros i Hi F. unfold cup in F. apply orb_prop in F as [F|F].
      - unfold I, cap in F. apply andb_prop in F. tauto.
      - specialize (h1 i Hi F). unfold Q', Q, minus in h1. apply andb_prop in h1 as [Z _].
        apply andb_prop in Z. tauto. }
    assert (S r * p s <= S r * x) by (apply Nat.mul_le_mono_l; auto).
    lia.
  Qed.
End TopDown.

Theorem top_down_stages_exact n w p c N D i opt :
  all_fit n w (c 1) -> (forall j, 1 <= j -> j < N -> c j <= c (S j)) ->
  top_down_chain n w p N c D ->
  1 <= i -> i <= N -> is_OPT n w p (c i) opt ->
  opt <= (N - i + 1) * P n p (D i).
Proof.
  intros Hw Hc [Htop Hdown] Hi HN (B & [HB _] & <-).
  assert (mono : forall r j, 1 <= j -> j + r <= N -> c j <= c (j + r)).
  { induction r as [|r IH]; intros j Hj Hr; [replace (j + 0) with j by lia; lia|].
    rewrite Nat.add_succ_r. pose proof (Hc (j + r) ltac:(lia) ltac:(lia)).
    specialize (IH j Hj ltac:(lia)). lia. }
  assert (fit : all_fit n w (c i)).
  { intros x Hx. pose proof (mono (i - 1) 1 ltac:(lia) ltac:(lia)).
    replace (1 + (i - 1)) with i in H by lia. specialize (Hw x Hx). lia. }
  destruct (Nat.eq_dec i N) as [->|Ni].
  { pose proof (proj2 Htop B HB). replace (N - N + 1) with 1 by lia. lia. }
  pose (E := fun j => if j <=? N then D j else every).
  assert (EN : forall j, j <= N -> E j = D j).
  { intros j Hj. unfold E. destruct (Nat.leb_spec j N); [reflexivity|lia]. }
  assert (ES : E (S N) = every).
  { unfold E. destruct (Nat.leb_spec (S N) N); [lia|reflexivity]. }
  replace (N - i + 1) with (S N - S i + 1) by lia.
  apply (levels n w p (c i) c N E B fit) with (m0 := S i); auto.
  - intros x. rewrite ES. reflexivity.
  - intros j Hj1 Hj2. split.
    + pose proof (mono (j - i) i Hi ltac:(lia)). replace (i + (j - i)) with j in H by lia. exact H.
    + rewrite (EN j) by lia. destruct (Nat.eq_dec j N) as [->|Nj].
      * rewrite ES. destruct Htop as [T1 T2]. split; [apply sub_every|split; [auto|]]. intros T _. apply T2.
      * rewrite (EN (S j)) by lia. apply Hdown; lia.
  - lia.
  - intros T T1 T2. rewrite EN in T1 by lia. apply (proj2 (proj2 (Hdown i Hi ltac:(lia)))); auto.
Qed.
