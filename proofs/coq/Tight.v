(** * Tight.v -- worst-case families: no constant can be improved

    Almost all families have items of only two kinds, so a selection is described
    by two numbers, how many of each kind it takes, and everything reduces to
    arithmetic.  The families also show that the hypotheses of the theorems can
    be met, for every value of their parameters.                               *)
From Coq Require Import Arith Lia Bool.
Require Import Knapsack TwoStages Stages.

(** ** Items of two kinds: [m0] of the first, then [m1] of the second. *)
Definition two (m0 x y : nat) : nat -> nat := fun i => if i <? m0 then x else y.
Definition left_count (m0 : nat) (T : sel) := tot one T m0.
Definition right_count (m0 m1 : nat) (T : sel) := tot one (fun i => T (m0 + i)) m1.
(** The first [a] items of the first kind and the first [b] of the second. *)
Definition firsts (m0 a b : nat) : sel := fun i => if i <? m0 then i <? a else i - m0 <? b.

Section TwoKinds.
  Variables m0 m1 : nat.
  Notation n := (m0 + m1).
  Notation lc := (left_count m0).
  Notation rc := (right_count m0 m1).

  Lemma tot_two x y T : tot (two m0 x y) T n = x * lc T + y * rc T.
  Proof.
    unfold left_count, right_count. induction m1 as [|m IH].
    - rewrite Nat.add_0_r. simpl.
      assert (G : forall r, r <= m0 -> tot (two m0 x y) T r = x * tot one T r).
      { induction r as [|r IH]; intros H; simpl; [lia|]. rewrite IH by lia.
        change (one r) with 1. unfold two. destruct (Nat.ltb_spec r m0); [|lia]. destruct (T r); lia. }
      rewrite G by lia. lia.
    - rewrite Nat.add_succ_r. simpl. rewrite IH. change (one m) with 1. unfold two.
      destruct (Nat.ltb_spec (m0 + m) m0); [lia|]. destruct (T (m0 + m)); lia.
  Qed.

  Lemma tot_one_le T m : tot one T m <= m.
  Proof. induction m as [|m IH]; simpl; [lia|]. unfold one at 2. destruct (T m); lia. Qed.
  Lemma lc_le T : lc T <= m0.
  Proof. apply tot_one_le. Qed.
  Lemma rc_le T : rc T <= m1.
  Proof. apply tot_one_le. Qed.
  Lemma lc_sub X Y : sub n X Y -> lc X <= lc Y.
  Proof. intros H. apply tot_le. intros i Hi. apply H. lia. Qed.
  Lemma rc_sub X Y : sub n X Y -> rc X <= rc Y.
  Proof. intros H. apply tot_le. intros i Hi. apply H. lia. Qed.

  Lemma tot_one_first a m : a <= m -> tot one (fun i => i <? a) m = a.
  Proof.
    induction m as [|m IH]; intros H; simpl; [lia|]. unfold one at 2.
    destruct (Nat.eq_dec a (S m)) as [->|N].
    - rewrite (tot_ext one _ every).
      + assert (G : forall r, tot one every r = r) by
          (induction r as [|r IHr]; [reflexivity|simpl; rewrite IHr; unfold one; lia]).
        rewrite G. destruct (Nat.ltb_spec m (S m)); lia.
      + intros i Hi. destruct (Nat.ltb_spec i (S m)); [reflexivity|lia].
    - rewrite IH by lia. destruct (Nat.ltb_spec m a); lia.
  Qed.
  Lemma lc_firsts a b : a <= m0 -> lc (firsts m0 a b) = a.
  Proof.
    intros H. unfold left_count. transitivity (tot one (fun i => i <? a) m0);
      [|apply tot_one_first; auto]. apply tot_ext.
    intros i Hi. unfold firsts. destruct (Nat.ltb_spec i m0); [reflexivity|lia].
  Qed.
  Lemma rc_firsts a b : b <= m1 -> rc (firsts m0 a b) = b.
  Proof.
    intros H. unfold right_count. transitivity (tot one (fun i => i <? b) m1);
      [|apply tot_one_first; auto]. apply tot_ext.
    intros i Hi. unfold firsts. destruct (Nat.ltb_spec (m0 + i) m0); [lia|].
    f_equal. lia.
  Qed.
  Lemma firsts_sub a b a' b' : a <= a' -> b <= b' -> sub n (firsts m0 a b) (firsts m0 a' b').
  Proof.
    intros H K i _ E. unfold firsts in *. destruct (i <? m0); apply Nat.ltb_lt in E;
    apply Nat.ltb_lt; lia.
  Qed.

  (** Weight and profit per item of the two kinds. *)
  Variables wl wr pl pr : nat.
  Notation w := (two m0 wl wr).
  Notation p := (two m0 pl pr).

  Lemma W_two T : W n w T = wl * lc T + wr * rc T.
  Proof. apply tot_two. Qed.
  Lemma P_two T : P n p T = pl * lc T + pr * rc T.
  Proof. apply tot_two. Qed.
  Lemma W_firsts a b : a <= m0 -> b <= m1 -> W n w (firsts m0 a b) = wl * a + wr * b.
  Proof. intros. rewrite W_two, lc_firsts, rc_firsts; auto. Qed.
  Lemma P_firsts a b : a <= m0 -> b <= m1 -> P n p (firsts m0 a b) = pl * a + pr * b.
  Proof. intros. rewrite P_two, lc_firsts, rc_firsts; auto. Qed.

  Lemma all_fit_two c : wl <= c -> wr <= c -> all_fit n w c.
  Proof. intros H K i _. unfold two. destruct (i <? m0); auto. Qed.

  Lemma optimal_two c a b : a <= m0 -> b <= m1 -> wl * a + wr * b <= c ->
    (forall a' b', a' <= m0 -> b' <= m1 -> wl * a' + wr * b' <= c ->
       pl * a' + pr * b' <= pl * a + pr * b) ->
    optimal n w p c (firsts m0 a b).
  Proof.
    intros Ha Hb Hw H. split; [unfold feasible; rewrite W_firsts; auto|].
    intros T HT. unfold feasible in HT. rewrite W_two in HT. rewrite P_two, P_firsts; auto.
    apply H; auto using lc_le, rc_le.
  Qed.

  Lemma OPT_two c v a b : v = pl * a + pr * b -> a <= m0 -> b <= m1 -> wl * a + wr * b <= c ->
    (forall a' b', a' <= m0 -> b' <= m1 -> wl * a' + wr * b' <= c ->
       pl * a' + pr * b' <= pl * a + pr * b) ->
    is_OPT n w p c v.
  Proof.
    intros ->. intros. exists (firsts m0 a b). split; [apply optimal_two; auto|apply P_firsts; auto].
  Qed.

  Lemma extends_two c a0 b0 a b :
    a0 <= a -> b0 <= b -> a <= m0 -> b <= m1 -> wl * a + wr * b <= c ->
    (forall a' b', a0 <= a' -> b0 <= b' -> a' <= m0 -> b' <= m1 -> wl * a' + wr * b' <= c ->
       pl * a' + pr * b' <= pl * a + pr * b) ->
    extends n w p c (firsts m0 a0 b0) (firsts m0 a b).
  Proof.
    intros H1 H2 Ha Hb Hw H. split; [apply firsts_sub; auto|].
    split; [unfold feasible; rewrite W_firsts; auto|].
    intros T HS HT. unfold feasible in HT. rewrite W_two in HT. rewrite P_two, P_firsts; auto.
    apply H; auto using lc_le, rc_le.
    - rewrite <- (lc_firsts a0 b0) by lia. apply lc_sub; auto.
    - rewrite <- (rc_firsts a0 b0) by lia. apply rc_sub; auto.
  Qed.

  Lemma restricts_two c a0 b0 a b :
    a <= a0 -> b <= b0 -> a0 <= m0 -> b0 <= m1 -> wl * a + wr * b <= c ->
    (forall a' b', a' <= a0 -> b' <= b0 -> wl * a' + wr * b' <= c ->
       pl * a' + pr * b' <= pl * a + pr * b) ->
    restricts n w p c (firsts m0 a0 b0) (firsts m0 a b).
  Proof.
    intros H1 H2 Ha Hb Hw H. split; [apply firsts_sub; auto|].
    split; [unfold feasible; rewrite W_firsts; auto; lia|].
    intros T HS HT. unfold feasible in HT. rewrite W_two in HT. rewrite P_two, P_firsts by lia.
    apply H; auto.
    - rewrite <- (lc_firsts a0 b0) by lia. apply lc_sub; auto.
    - rewrite <- (rc_firsts a0 b0) by lia. apply rc_sub; auto.
  Qed.
End TwoKinds.

(** Two items of weight [c2] do not fit into (k+1) c1. *)
Lemma two_too_many k c1 c2 : c1 < c2 -> k * c1 <= c2 -> c2 < (k + 1) * c1 -> (k + 1) * c1 < 2 * c2.
Proof.
  intros H1 H2 H3. destruct k as [|[|k]]; [lia|lia|].
  assert (2 * (S (S k) * c1) <= 2 * c2) by lia.
  assert (0 < c1) by lia. assert (k * c1 >= 0) by lia. lia.
Qed.

(** If [c2 * x <= (k+1) * y] with [y < c2] ... the counting steps of the proofs. *)
Lemma at_most_one c z e : e < 2 * c -> c * z <= e -> z <= 1.
Proof. intros H K. destruct z as [|[|z]]; [lia|lia|]. simpl in *. nia. Qed.
Lemma at_most k c z e : e < (k + 1) * c -> c * z <= e -> z <= k.
Proof.
  intros H K. destruct (le_lt_dec z k) as [|L]; auto. exfalso.
  assert (c * (k + 1) <= c * z) by (apply Nat.mul_le_mono_l; lia). lia.
Qed.

(** ** T1 is tight for every pair of capacities [c1 < c2].

    k = floor(c2/c1).  Both capacities are scaled by k+1; there are k+1 items
    (c2, q) and one blocker (c2+1, q+1). *)
Theorem bottom_up_ratio_tight k c1 c2 q :
  c1 < c2 -> k * c1 <= c2 -> c2 < (k + 1) * c1 -> 1 <= q ->
  exists n w p A1 A2,
    all_fit n w ((k + 1) * c1) /\
    bottom_up_pair n w p ((k + 1) * c1) ((k + 1) * c2) A1 A2 /\
    is_OPT n w p ((k + 1) * c2) ((k + 1) * q) /\
    P n p A2 = k * q + 1.
Proof.
  intros H1 H2 H3 Hq. pose proof (two_too_many k c1 c2 H1 H2 H3) as H4.
  assert (Hk : 1 <= k) by (destruct k; lia).
  exists (1 + (k + 1)), (two 1 (c2 + 1) c2), (two 1 (q + 1) q), (firsts 1 1 0), (firsts 1 1 (k - 1)).
  assert (Ek : exists j, k = S j) by (exists (k - 1); lia). destruct Ek as [j ->].
  replace (S j - 1) with j by lia.
  split; [apply all_fit_two; lia|]. split; [split|split].
  - apply optimal_two; try lia. intros a b Ha Hb Hw.
    assert (a + b <= 1) by (apply (at_most_one c2 (a + b) ((S j + 1) * c1)); lia).
    assert (a = 0 /\ b = 0 \/ a = 1 /\ b = 0 \/ a = 0 /\ b = 1) as [[-> ->]|[[-> ->]|[-> ->]]] by lia; lia.
  - apply extends_two; try lia. intros a b Ha Hb Ha' Hb' Hw.
    assert (a = 1) by lia. subst a.
    assert (b <= j).
    { apply (at_most j c2 b ((S j + 1) * c2 - c2 - 1)); lia. }
    assert (q * b <= q * j) by (apply Nat.mul_le_mono_l; auto). lia.
  - apply OPT_two with (a := 0) (b := S j + 1); try lia. intros a b Ha Hb Hw.
    destruct (Nat.eq_dec a 0) as [->|Na].
    + assert (q * b <= q * (S j + 1)) by (apply Nat.mul_le_mono_l; auto). lia.
    + assert (a = 1) by lia. subst a.
      assert (b <= j) by (apply (at_most j c2 b ((S j + 1) * c2 - c2 - 1)); lia).
      assert (q * b <= q * j) by (apply Nat.mul_le_mono_l; auto). lia.
  - rewrite P_firsts by lia. lia.
Qed.

(** Hence no fraction g/h above k/(k+1) can be guaranteed. *)
Corollary bottom_up_ratio_sharp k c1 c2 g h :
  c1 < c2 -> k * c1 <= c2 -> c2 < (k + 1) * c1 -> k * h < (k + 1) * g ->
  exists n w p A1 A2 opt2,
    all_fit n w ((k + 1) * c1) /\
    bottom_up_pair n w p ((k + 1) * c1) ((k + 1) * c2) A1 A2 /\
    is_OPT n w p ((k + 1) * c2) opt2 /\
    h * P n p A2 < g * opt2.
Proof.
  intros H1 H2 H3 H.
  destruct (bottom_up_ratio_tight k c1 c2 (h + 1) H1 H2 H3 ltac:(lia))
    as (n & w & p & A1 & A2 & h1 & h2 & h3 & h4).
  exists n, w, p, A1, A2, ((k + 1) * (h + 1)). split; [auto|split; [auto|split; [auto|]]].
  rewrite h4. assert ((k * h + 1) * (h + 1) <= (k + 1) * g * (h + 1))
    by (apply Nat.mul_le_mono_r; lia). lia.
Qed.

(** ** T2 is tight for every pair of capacities [c1 < c2].

    k+1 items (c2, q+1) and one heavy item ((k+1) c1, 2q). *)
Theorem top_down_half_tight k c1 c2 q :
  c1 < c2 -> k * c1 <= c2 -> c2 < (k + 1) * c1 -> 1 <= q ->
  exists n w p D1 D2,
    all_fit n w ((k + 1) * c1) /\
    top_down_pair n w p ((k + 1) * c1) ((k + 1) * c2) D1 D2 /\
    is_OPT n w p ((k + 1) * c1) (2 * q) /\
    P n p D1 = q + 1.
Proof.
  intros H1 H2 H3 Hq. pose proof (two_too_many k c1 c2 H1 H2 H3) as H4.
  assert (Hk : 1 <= k) by (destruct k; lia).
  exists (1 + (k + 1)), (two 1 ((k + 1) * c1) c2), (two 1 (2 * q) (q + 1)),
    (firsts 1 0 1), (firsts 1 0 (k + 1)).
  assert (Ek : exists j, k = S j) by (exists (k - 1); lia). destruct Ek as [j ->].
  split; [apply all_fit_two; lia|]. split; [split|split].
  - apply optimal_two; try lia. intros a b Ha Hb Hw.
    destruct (Nat.eq_dec a 0) as [->|Na].
    + assert ((q + 1) * b <= (q + 1) * (S j + 1)) by (apply Nat.mul_le_mono_l; auto). lia.
    + assert (a = 1) by lia. subst a.
      assert (b <= j) by (apply (at_most j c2 b ((S j + 1) * c2 - (S j + 1) * c1)); lia).
      assert ((q + 1) * b <= (q + 1) * j) by (apply Nat.mul_le_mono_l; auto). lia.
  - apply restricts_two; try lia. intros a b Ha Hb Hw.
    assert (a = 0) by lia. subst a.
    assert (b <= 1) by (apply (at_most_one c2 b ((S j + 1) * c1)); lia).
    assert ((q + 1) * b <= (q + 1) * 1) by (apply Nat.mul_le_mono_l; auto). lia.
  - apply OPT_two with (a := 1) (b := 0); try lia. intros a b Ha Hb Hw.
    destruct (Nat.eq_dec a 0) as [->|Na].
    + assert (b <= 1) by (apply (at_most_one c2 b ((S j + 1) * c1)); lia).
      assert ((q + 1) * b <= (q + 1) * 1) by (apply Nat.mul_le_mono_l; auto). lia.
    + assert (a = 1) by lia. subst a.
      assert (b <= 0) by (apply (at_most 0 c2 b ((S j + 1) * c1 - (S j + 1) * c1)); lia).
      assert (b = 0) by lia. subst b. lia.
  - rewrite P_firsts by lia. lia.
Qed.

Corollary top_down_half_sharp k c1 c2 g h :
  c1 < c2 -> k * c1 <= c2 -> c2 < (k + 1) * c1 -> h < 2 * g ->
  exists n w p D1 D2 opt1,
    all_fit n w ((k + 1) * c1) /\
    top_down_pair n w p ((k + 1) * c1) ((k + 1) * c2) D1 D2 /\
    is_OPT n w p ((k + 1) * c1) opt1 /\
    h * P n p D1 < g * opt1.
Proof.
  intros H1 H2 H3 H.
  destruct (top_down_half_tight k c1 c2 (h + 1) H1 H2 H3 ltac:(lia))
    as (n & w & p & A1 & A2 & h1 & h2 & h3 & h4).
  exists n, w, p, A1, A2, (2 * (h + 1)). split; [auto|split; [auto|split; [auto|]]].
  rewrite h4. assert ((h + 1) * (h + 1) <= 2 * g * (h + 1))
    by (apply Nat.mul_le_mono_r; lia). lia.
Qed.

(** ** T3 is tight for all numbers of stages [j] and granularities [a].

    M = a j + j - 1 items (a j, q), and a j blockers (M, q+1); capacities i a M.
    Every stage is filled with [a] blockers. *)
Theorem stages_granularity_tight a j q :
  1 <= a -> 1 <= j ->
  exists n w p c d A opt,
    all_fit n w d /\ c 0 = 0 /\ (forall i, c (S i) = c i + a * d) /\
    bottom_up_chain n w p j c A /\
    is_OPT n w p (c j) opt /\
    (a * j + j - 1) * q <= opt /\ P n p (A j) = a * j * (q + 1).
Proof.
  intros Ha Hj. set (M := a * j + j - 1). assert (HM : M + 1 = a * j + j) by lia.
  set (m0 := a * j). set (w := two m0 M m0). set (p := two m0 (q + 1) q).
  destruct (OPT_exists (m0 + M) w p (j * (a * M))) as [opt Hopt].
  exists (m0 + M), w, p, (fun i => i * (a * M)), M, (fun i => firsts m0 (i * a) 0), opt.
  split; [apply all_fit_two; unfold m0; lia|]. split; [reflexivity|].
  split; [intros i; lia|]. split; [split|split; [exact Hopt|split]].
  - intros i Hi. unfold firsts. simpl.
    destruct (i <? m0); apply Nat.ltb_ge; lia.
  - intros i Hi.
    assert (Si : S i * a <= m0).
    { unfold m0. rewrite (Nat.mul_comm a j). apply Nat.mul_le_mono_r. lia. }
    apply extends_two; try lia. intros x y Hx _ Hx' Hy Hw.
    assert (exists e, x = i * a + e) as [e ->] by (exists (x - i * a); lia).
    assert (E1 : M * e + m0 * y <= a * M) by lia.
    (* at most a blockers, and at most a items altogether *)
    assert (E3 : e + y <= a).
    { destruct (le_lt_dec (e + y) a) as [|L]; auto. exfalso.
      assert (m0 * (a + 1) <= m0 * (e + y)) by (apply Nat.mul_le_mono_l; lia).
      assert (m0 * e <= M * e) by (apply Nat.mul_le_mono_r; unfold m0; lia).
      assert (m0 * (a + 1) = a * M + a).
      { replace (a * M + a) with (a * (M + 1)) by lia. rewrite HM. unfold m0. lia. }
      lia. }
    assert ((q + 1) * (e + y) <= (q + 1) * a) by (apply Nat.mul_le_mono_l; auto).
    lia.
  - destruct Hopt as (O & [HO best] & <-).
    assert (F : feasible (m0 + M) w (j * (a * M)) (firsts m0 0 M)).
    { unfold feasible, w. rewrite W_firsts by lia. unfold m0. lia. }
    specialize (best _ F).
    assert (E : P (m0 + M) p (firsts m0 0 M) = q * M) by (unfold p; rewrite P_firsts by lia; lia).
    rewrite E in best. lia.
  - unfold p. rewrite P_firsts by (unfold m0; lia). lia.
Qed.

(** ** The price of nesting: T6 is tight for every k, even for the best nested pair.

    One item (1,1) and k+1 items (k+1, 2), capacities k+2 and (k+1)^2.  The
    separate optima are 3 and 2k+2; no nested pair has more than 2k+4. *)
Theorem price_of_nesting k :
  1 <= k ->
  exists n w p c1 c2,
    k * c1 <= c2 /\ c2 < (k + 1) * c1 /\ all_fit n w c1 /\
    is_OPT n w p c1 3 /\ is_OPT n w p c2 (2 * k + 2) /\
    (forall X Y, sub n X Y -> feasible n w c1 X -> feasible n w c2 Y ->
       P n p X + P n p Y <= 2 * k + 4).
Proof.
  intros Hk. exists (1 + (k + 1)), (two 1 1 (k + 1)), (two 1 1 2), (k + 2), ((k + 1) * (k + 1)).
  assert (one_item : forall b e, (k + 1) * b <= e -> e < 2 * (k + 1) -> b <= 1).
  { intros b e H1 H2. apply (at_most_one (k + 1) b e); lia. }
  split; [lia|]. split; [lia|]. split; [apply all_fit_two; lia|]. split; [|split].
  - apply OPT_two with (a := 1) (b := 1); try lia.
    intros a b Ha Hb Hw. specialize (one_item b (k + 2)). lia.
  - apply OPT_two with (a := 0) (b := k + 1); try lia.
    intros a b Ha Hb Hw. destruct (Nat.eq_dec a 0) as [->|Na]; [lia|].
    assert (b <= k) by (apply (at_most k (k + 1) b ((k + 1) * (k + 1) - 1)); lia). lia.
  - intros X Y HS HX HY. unfold feasible in *. rewrite W_two in HX, HY. rewrite !P_two.
    pose proof (lc_sub 1 (k + 1) X Y HS) as L. pose proof (rc_sub 1 (k + 1) X Y HS) as R.
    pose proof (lc_le 1 Y) as LY. pose proof (rc_le 1 (k + 1) Y) as RY.
    set (a := left_count 1 X) in *. set (b := right_count 1 (k + 1) X) in *.
    set (a' := left_count 1 Y) in *. set (b' := right_count 1 (k + 1) Y) in *.
    assert (b <= 1) by (apply (one_item b (k + 2)); lia).
    destruct (Nat.eq_dec a' 0) as [E|N]; [lia|].
    assert (b' <= k) by (apply (at_most k (k + 1) b' ((k + 1) * (k + 1) - 1)); lia). lia.
Qed.

(** ** The standing assumption is needed.

    Items (10, q) and (1, 1), capacities 5 and 10; the heavy item does not fit into
    5.  Bottom-up ends with 1 instead of q, top-down with 0 instead of 1. *)
Theorem all_fit_is_needed q :
  1 <= q ->
  exists n w p c1 c2 A1 A2 D1 D2,
    c2 = 2 * c1 /\
    bottom_up_pair n w p c1 c2 A1 A2 /\ top_down_pair n w p c1 c2 D1 D2 /\
    is_OPT n w p c1 1 /\ is_OPT n w p c2 q /\
    P n p A2 = 1 /\ P n p D1 = 0.
Proof.
  intros Hq. exists (1 + 1), (two 1 10 1), (two 1 q 1), 5, 10,
    (firsts 1 0 1), (firsts 1 0 1), (firsts 1 0 0), (firsts 1 1 0).
  split; [reflexivity|]. split; [split|split; [split|split; [|split; [|split]]]].
  - apply optimal_two; try lia; intros a b Ha Hb Hw; assert (a = 0) by lia; subst; lia.
  - apply extends_two; try lia; intros a b Ha Hb Ha' Hb' Hw; assert (a = 0) by lia; subst; lia.
  - apply optimal_two; try lia; intros a b Ha Hb Hw;
    (destruct (Nat.eq_dec a 0) as [->|]; [lia|assert (a = 1) by lia; subst; lia]).
  - apply restricts_two; try lia; intros a b Ha Hb Hw; assert (a = 0) by lia; subst; lia.
  - apply OPT_two with (a := 0) (b := 1); try lia;
    intros a b Ha Hb Hw; assert (a = 0) by lia; subst; lia.
  - apply OPT_two with (a := 1) (b := 0); try lia;
    intros a b Ha Hb Hw;
    (destruct (Nat.eq_dec a 0) as [->|]; [lia|assert (a = 1) by lia; subst; lia]).
  - rewrite P_firsts by lia. lia.
  - rewrite P_firsts by lia. lia.
Qed.

(** ** Approximate stages: it is the gain that must be approximated.

    Suppose the second stage is only asked for u/v of its best TOTAL profit.  Items
    (3,2), (3,1) and three times (2,4), capacities 3 and 6, fraction 1/2: the first
    two items form such a chain.  Its profit 3 is a quarter of the optimum 12,
    less than half of 2/3. *)
Theorem near_totals_do_not_suffice :
  exists n w p A1 A2,
    all_fit n w 3 /\ near_optimal n w p 1 2 3 A1 /\
    (sub n A1 A2 /\ feasible n w 6 A2 /\
     forall T, sub n A1 T -> feasible n w 6 T -> 1 * P n p T <= 2 * P n p A2) /\
    is_OPT n w p 6 12 /\ P n p A2 = 3 /\ 2 * 12 * 1 > 3 * 2 * P n p A2.
Proof.
  set (w := fun i => match i with 0 | 1 => 3 | _ => 2 end).
  set (p := fun i => match i with 0 => 2 | 1 => 1 | _ => 4 end).
  exists 5, w, p, (fun i => i <? 1), (fun i => i <? 2).
  split. { intros i _. unfold w. destruct i as [|[|i]]; lia. }
  split. { split; [unfold feasible; cbv; lia|]. intros T HT. unfold feasible in HT.
           cbv [W P tot w p Nat.ltb Nat.leb] in *.
           destruct (T 0), (T 1), (T 2), (T 3), (T 4); lia. }
  split. { split; [|split; [unfold feasible; cbv; lia|]].
           - intros i _ E. apply Nat.ltb_lt in E. apply Nat.ltb_lt. lia.
           - intros T HS HT. assert (E : T 0 = true) by (apply HS; [lia|reflexivity]). clear HS.
             unfold feasible in HT. cbv [W P tot w p Nat.ltb Nat.leb] in *. rewrite E in *.
             destruct (T 1), (T 2), (T 3), (T 4); lia. }
  split. { exists (fun i => 2 <=? i). split; [split; [unfold feasible; cbv; lia|]|reflexivity].
           intros T HT. unfold feasible in HT. cbv [W P tot w p Nat.ltb Nat.leb] in *.
           destruct (T 0), (T 1), (T 2), (T 3), (T 4); lia. }
  split; [reflexivity|cbv; lia].
Qed.
