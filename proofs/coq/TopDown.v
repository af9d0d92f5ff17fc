(** * TopDown.v -- several top-down stages: T5, exactly 1/N, and T4 for N of them

    [p (D i) >= OPT (c i) / (N - i + 1)] for N stages over capacities
    [c 1 <= c 2 <= ... <= c N].  That no more is possible: TightDown.v.  Stages that
    are solved to the fraction u/v lose a little more.

    The idea.  [B] is optimal at [c 1].  What a stage drops of [B] is exchanged for
    a block of the second stage and one item [s] more; the blocks of different
    stages are disjoint, and [s] is the same for all of them.                  *)
From Coq Require Import Arith Lia Bool.
Require Import Knapsack TwoStages.

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

Section Worth.
  Variables (n N : nat) (p : nat -> nat) (E : nat -> sel).
  (** What the stages [m], ..., [N] are worth together. *)
  Definition lost m := tot (fun i => P n p (E (m + i))) every (S N - m).
  Lemma tot_first f r : tot f every (S r) = f 0 + tot (fun i => f (S i)) every r.
  Proof.
    induction r as [|r IH]; [cbn; lia|].
    change (tot f every (S (S r))) with (tot f every (S r) + f (S r)). rewrite IH.
    change (tot (fun i => f (S i)) every (S r)) with (tot (fun i => f (S i)) every r + f (S r)). lia.
  Qed.
  Lemma lost_step m : m <= N -> lost m = P n p (E m) + lost (S m).
  Proof.
    intros H. unfold lost. replace (S N - m) with (S (S N - S m)) by lia. rewrite tot_first.
    rewrite Nat.add_0_r. f_equal. generalize (S N - S m). intros r.
    induction r as [|r IH]; [reflexivity|]. cbn [tot]. rewrite IH, Nat.add_succ_r. reflexivity.
  Qed.
End Worth.

Section TopDown.
  Variable n : nat.
  Variables w p : nat -> nat.
  Notation W := (W n w).
  Notation P := (P n p).
  Notation sub := (sub n).

  Variables (c : nat) (C : nat -> nat) (N : nat) (E : nat -> sel) (B : sel).
  (** [E (S N)] is everything, [E j] a part of [E (S j)] at the capacity [C j], best or u/v of it. *)
  Variables u v : nat.
  Hypothesis accuracy : u <= v.
  Hypothesis light : all_fit n w c.
  Hypothesis top : forall i, E (S N) i = true.
  Variable m0 : nat.
  Hypothesis down : forall j, m0 <= j -> j <= N -> c <= C j /\ near_restricts n w p u v (C j) (E (S j)) (E j).
  Hypothesis HB : W B <= c.

  Lemma down_sub m r : m0 <= m -> m + r <= S N -> sub (E m) (E (m + r)).
  Proof.
    intros Hm. induction r as [|r IH]; intros Hr.
    - rewrite Nat.add_0_r. apply sub_refl.
    - eapply sub_trans; [apply IH; lia|]. rewrite Nat.add_succ_r.
      apply (proj2 (down (m + r) ltac:(lia) ltac:(lia))).
  Qed.

  (** Exchange: what [G], outside [D] but inside [U], is worth, is at most what any part of [D] of its weight is worth,
      and what the stage itself lost. *)
  Lemma exchange_le e U D G R : near_restricts n w p u v e U D -> sub G U -> disj n G D -> sub R D ->
    W G <= W R -> u * P G <= u * P R + (v - u) * P D.
  Proof.
    intros (HS & HF & best) HG Hd HR HW. unfold feasible in *.
    assert (EW : forall f, tot f D n = tot f R n + tot f (minus D R) n).
    { intros f. rewrite (tot_cap_minus f D R). f_equal. apply tot_ext. intros i Hi. unfold cap.
      specialize (HR i Hi). destruct (R i); [rewrite HR by auto; reflexivity|apply andb_false_r]. }
    assert (dd : disj n G (minus D R)).
    { intros i Hi F. unfold minus. rewrite (Hd i Hi F). reflexivity. }
    assert (Q : u * P (cup G (minus D R)) <= v * P D).
    { apply best.
      - intros i Hi F. unfold cup in F. apply orb_prop in F as [F|F]; [auto|].
        apply HS; auto. unfold minus in F. apply andb_prop in F. tauto.
      - rewrite W_cup by auto. pose proof (EW w). unfold Knapsack.W in *. lia. }
    rewrite P_cup in Q by auto. pose proof (EW p : P D = P R + P (minus D R)) as EP.
    assert (EV : v * P D = u * P D + (v - u) * P D) by (replace v with (u + (v - u)) at 1 by lia; lia).
    rewrite EV, EP in Q. rewrite EP. lia.
  Qed.

  Theorem levels m : m0 <= m -> m <= S N -> (N - m) * (v - u) <= u ->
    forall x, (forall T, sub T (E m) -> W T <= c -> P T <= x) ->
    u * P B <= u * ((S N - m + 1) * x) + (v - u) * lost n N p E m.
  Proof.
    intros Hm HmN. remember (S N - m) as r eqn:Er. revert m Hm HmN Er.
    induction r as [|r IH]; intros m Hm HmN Er little x Hx.
    { replace m with (S N) in * by lia. cbn [Nat.add Nat.mul]. rewrite Nat.add_0_r.
      assert (P B <= x) by (apply Hx; auto; intros i _ _; apply top).
      assert (u * P B <= u * x) by (apply Nat.mul_le_mono_l; auto). lia. }
    pose proof (lost_step n N p E m ltac:(lia)) as EL.
    destruct (le_lt_dec (W (E m)) c) as [L|L].
    { (* E m fits: all but the fraction v - u of a best part of E (S m) at c *)
      destruct (down m Hm ltac:(lia)) as [Hc (_ & _ & best)].
      destruct (restriction_exists n w p c (E (S m))) as [X (X1 & X2 & X3)].
      assert (le : (N - S m) * (v - u) <= (N - m) * (v - u)) by (apply Nat.mul_le_mono_r; lia).
      pose proof (IH (S m) ltac:(lia) ltac:(lia) ltac:(lia) ltac:(lia) (P X) X3) as G. clear IH.
      assert (Q1 : u * P X <= v * P (E m)) by (apply best; auto; unfold feasible in *; lia).
      assert (Q2 : P (E m) <= x) by (apply Hx; auto using sub_refl).
      assert (Q3 : (r + 1) * (u * P X) <= (r + 1) * (v * P (E m))) by (apply Nat.mul_le_mono_l; auto).
      assert (Q4 : (N - m) * (v - u) * P (E m) <= u * P (E m)) by (apply Nat.mul_le_mono_r; auto).
      assert (Q5 : (S r + 1) * u * P (E m) <= (S r + 1) * u * x) by (apply Nat.mul_le_mono_l; auto).
      rewrite EL. replace (N - m) with r in Q4 by lia.
      assert (exists d, v = u + d) as [d Ev] by (exists (v - u); lia). rewrite Ev in Q3.
      replace (v - u) with d in * by lia. clear - G Q3 Q4 Q5. lia. }
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
      u * P (cap B (E (m + q))) <= u * (P I + P b + q * p s) +
        (v - u) * tot (fun i => P (E (m + i))) every q).
    { induction q as [|q IHq]; intros Hq.
      - exists none. rewrite Nat.add_0_r. fold I.
        assert (W none = 0) by apply tot_none. split; [apply sub_none|]. split; [lia|].
        assert (u * P I <= u * (P I + P none + 0 * p s)) by (apply Nat.mul_le_mono_l; lia). lia.
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
        assert (PG : u * P G <= u * (P X + p s) + (v - u) * P (E j)).
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
        rewrite W_cup, P_cup by auto. cbn [tot]. unfold every at 2. fold j.
        split; [|clear - h3 PG EGp; rewrite EGp; lia].
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
    assert (EBl : tot (fun i => P (E (m + i))) every (S r) = lost n N p E m) by (unfold lost; f_equal; lia).
    rewrite EBl, EBp in h3.
    assert (u * (P I + P b + S r * p s) <= u * ((S r + 1) * x)) by (apply Nat.mul_le_mono_l; lia). lia.
  Qed.
End TopDown.

(** Chains whose stages are solved to the fraction u/v. *)
Definition near_top_down_chain n w p (u v N : nat) (c : nat -> nat) (D : nat -> sel) :=
  near_optimal n w p u v (c N) (D N) /\
  forall i, 1 <= i -> i < N -> near_restricts n w p u v (c i) (D (S i)) (D i).

(** Capacities that rise from stage to stage rise over several, so what fits the smallest fits all. *)
Lemma rising (c : nat -> nat) N : (forall j, 1 <= j -> j < N -> c j <= c (S j)) ->
  forall r j, 1 <= j -> j + r <= N -> c j <= c (j + r).
Proof.
  intros Hc. induction r as [|r IH]; intros j Hj Hr; [replace (j + 0) with j by lia; lia|].
  rewrite Nat.add_succ_r. pose proof (Hc (j + r) ltac:(lia) ltac:(lia)).
  specialize (IH j Hj ltac:(lia)). lia.
Qed.
Lemma fits_every_stage n w c N i : all_fit n w (c 1) -> (forall j, 1 <= j -> j < N -> c j <= c (S j)) ->
  1 <= i -> i <= N -> all_fit n w (c i).
Proof.
  intros Hw Hc Hi HN x Hx. pose proof (rising c N Hc (i - 1) 1 ltac:(lia) ltac:(lia)) as R.
  replace (1 + (i - 1)) with i in R by lia. specialize (Hw x Hx). lia.
Qed.

(** ** Theorem T4 for several top-down stages.

    With 1 - e = u/v and M_j = 2 m_j - 1, where c j <= m_j c i:
    p(D i) >= (1-e) ((1-e) - e (M_(i+2) + ... + M_N)) / ((N-i+1)(1-e) + e M_(i+1)) OPT(c i).
    (Where the difference is negative, nothing is claimed.) *)
Theorem top_down_stages_near n w p u v c N D i m opt :
  u <= v -> all_fit n w (c 1) -> (forall j, 1 <= j -> j < N -> c j <= c (S j)) ->
  near_top_down_chain n w p u v N c D ->
  1 <= i -> i <= N -> (forall j, i < j -> j <= N -> 1 <= m j /\ c j <= m j * c i) ->
  is_OPT n w p (c i) opt ->
  u * ((u - (v - u) * tot (fun j => 2 * m (S (S i) + j) - 1) every (N - S i)) * opt) <=
  v * (((N - i + 1) * u + (v - u) * (2 * m (S i) - 1)) * P n p (D i)).
Proof.
  intros Huv Hw Hc [Htop Hdown] Hi HN Hm (B & [HB bestB] & <-).
  pose proof (rising c N Hc) as mono. pose proof (fits_every_stage n w c N i Hw Hc Hi HN) as fit.
  set (d := v - u). set (M := tot (fun j => 2 * m (S (S i) + j) - 1) every (N - S i)).
  destruct (Nat.eq_dec i N) as [->|Ni].
  { pose proof (proj2 Htop B HB) as Q. replace (N - N + 1) with 1 by lia.
    assert (Q1 : (u - d * M) * P n p B <= u * P n p B) by (apply Nat.mul_le_mono_r; lia).
    assert (Q2 : u * ((u - d * M) * P n p B) <= u * (v * P n p (D N))) by (apply Nat.mul_le_mono_l; lia).
    apply Nat.le_trans with (v * (u * P n p (D N))).
    { replace (v * (u * P n p (D N))) with (u * (v * P n p (D N))) by lia. exact Q2. }
    apply Nat.mul_le_mono_l, Nat.mul_le_mono_r.
    rewrite Nat.mul_1_l. apply Nat.le_add_r. }
  destruct (le_lt_dec u (d * M)) as [Z|Z].
  { replace (u - d * M) with 0 by lia. rewrite Nat.mul_0_l, Nat.mul_0_r. apply Nat.le_0_l. }
  pose (E := fun j => if j <=? N then D j else every).
  assert (EN : forall j, j <= N -> E j = D j).
  { intros j Hj. unfold E. destruct (Nat.leb_spec j N); [reflexivity|lia]. }
  assert (ES : E (S N) = every).
  { unfold E. destruct (Nat.leb_spec (S N) N); [lia|reflexivity]. }
  (* x: what the best part of D (i+1) at c i is worth *)
  destruct (restriction_exists n w p (c i) (D (S i))) as [X (X1 & X2 & X3)].
  assert (EX : u * P n p X <= v * P n p (D i)) by (apply (Hdown i Hi ltac:(lia)); auto).
  (* the number of stages is at most what they may lose *)
  assert (few : (N - S i) * d <= u).
  { assert (G : forall r f, (forall j, j < r -> 1 <= f j) -> r <= tot f every r).
    { induction r as [|r IH]; intros f Hf; [lia|]. cbn [tot]. unfold every at 2.
      specialize (IH f (fun j H => Hf j ltac:(lia))). specialize (Hf r ltac:(lia)). lia. }
    assert (G' : N - S i <= M).
    { apply G. intros j Hj. destruct (Hm (S (S i) + j) ltac:(lia) ltac:(lia)). lia. }
    assert ((N - S i) * d <= M * d) by (apply Nat.mul_le_mono_r; auto). lia. }
  pose proof (levels n w p (c i) c N E B u v Huv fit) as L. rewrite ES in L.
  specialize (L (fun _ => eq_refl) (S i)).
  specialize (L ltac:(intros j Hj1 Hj2; split;
    [ pose proof (mono (j - i) i Hi ltac:(lia)) as K; replace (i + (j - i)) with j in K by lia; exact K
    | rewrite (EN j) by lia; destruct (Nat.eq_dec j N) as [->|Nj];
      [ rewrite ES; destruct Htop as [T1 T2]; split; [apply sub_every|split; [exact T1|intros T _; apply T2]]
      | rewrite (EN (S j)) by lia; apply Hdown; lia ] ])).
  specialize (L HB (S i) (le_n _) ltac:(lia) few (P n p X)). rewrite EN in L by lia. specialize (L X3).
  (* what the stages are worth: M_j times OPT(c i), the first of them M times x *)
  assert (first : P n p (D (S i)) <= (2 * m (S i) - 1) * P n p X).
  { destruct (Hm (S i) ltac:(lia) ltac:(lia)) as [m1 m2]. apply (blocks n w p (c i)); auto.
    assert (F : feasible n w (c (S i)) (D (S i))).
    { destruct (Nat.eq_dec (S i) N) as [EQ|]; [rewrite EQ; apply Htop|apply (Hdown (S i)); lia]. }
    unfold feasible in F. lia. }
  assert (rest : lost n N p E (S (S i)) <= M * P n p B).
  { unfold lost, M. replace (S N - S (S i)) with (N - S i) by lia.
    assert (G : forall r, r <= N - S i -> tot (fun k => P n p (E (S (S i) + k))) every r
      <= tot (fun j => 2 * m (S (S i) + j) - 1) every r * P n p B).
    { induction r as [|r IH]; intros Hr; [cbn; lia|]. cbn [tot]. unfold every at 2 4.
      specialize (IH ltac:(lia)). set (j := S (S i) + r). destruct (Hm j ltac:(lia) ltac:(lia)) as [m1 m2].
      assert (P n p (E j) <= (2 * m j - 1) * P n p B).
      { rewrite EN by lia. apply (blocks n w p (c i)); auto.
        assert (F : feasible n w (c j) (D j)).
        { destruct (Nat.eq_dec j N) as [EQ|]; [rewrite EQ; apply Htop|apply (Hdown j); lia]. }
        unfold feasible in F. lia. }
      lia. }
    apply G. lia. }
  rewrite lost_step in L by lia. rewrite EN in L by lia. fold d in L.
  replace (S N - S i + 1) with (N - i + 1) in L by lia.
  set (x := P n p X) in *. set (y := P n p B) in *. set (z := P n p (D i)) in *.
  assert (Q1 : d * P n p (D (S i)) <= d * ((2 * m (S i) - 1) * x)) by (apply Nat.mul_le_mono_l; auto).
  assert (Q2 : d * lost n N p E (S (S i)) <= d * (M * y)) by (apply Nat.mul_le_mono_l; auto).
  assert (exists g, u = d * M + g) as [g Eg] by (exists (u - d * M); lia).
  replace (u - d * M) with g by lia.
  set (K := (N - i + 1) * u + d * (2 * m (S i) - 1)) in *.
  assert (Q3 : g * y <= K * x).
  { assert (u * y = d * (M * y) + g * y) by (rewrite Eg at 1; lia). unfold K. lia. }
  assert (Q4 : u * (g * y) <= u * (K * x)) by (apply Nat.mul_le_mono_l; auto).
  assert (Q5 : K * (u * x) <= K * (v * z)) by (apply Nat.mul_le_mono_l; auto). lia.
Qed.

(** ** Theorem T5: stages that are solved exactly:  p(D i) >= OPT(c i) / (N - i + 1). *)
Theorem top_down_stages_exact n w p c N D i opt :
  all_fit n w (c 1) -> (forall j, 1 <= j -> j < N -> c j <= c (S j)) ->
  top_down_chain n w p N c D ->
  1 <= i -> i <= N -> is_OPT n w p (c i) opt ->
  opt <= (N - i + 1) * P n p (D i).
Proof.
  intros Hw Hc [Htop Hdown] Hi HN (B & [HB _] & <-).
  pose proof (rising c N Hc) as mono. pose proof (fits_every_stage n w c N i Hw Hc Hi HN) as fit.
  destruct (Nat.eq_dec i N) as [->|Ni].
  { pose proof (proj2 Htop B HB). replace (N - N + 1) with 1 by lia. lia. }
  pose (E := fun j => if j <=? N then D j else every).
  assert (EN : forall j, j <= N -> E j = D j).
  { intros j Hj. unfold E. destruct (Nat.leb_spec j N); [reflexivity|lia]. }
  assert (ES : E (S N) = every).
  { unfold E. destruct (Nat.leb_spec (S N) N); [lia|reflexivity]. }
  assert (L : 1 * P n p B <= 1 * ((S N - S i + 1) * P n p (D i)) + (1 - 1) * lost n N p E (S i)).
  { apply (levels n w p (c i) c N E B 1 1 (le_n 1) fit) with (m0 := S i); auto; try lia.
    - intros x. rewrite ES. reflexivity.
    - intros j Hj1 Hj2. split.
      + pose proof (mono (j - i) i Hi ltac:(lia)). replace (i + (j - i)) with j in H by lia. exact H.
      + apply restricts_near. rewrite (EN j) by lia. destruct (Nat.eq_dec j N) as [->|Nj].
        * rewrite ES. apply optimal_restricts. exact Htop.
        * rewrite (EN (S j)) by lia. apply Hdown; lia.
    - intros T T1 T2. rewrite EN in T1 by lia. apply (proj2 (proj2 (Hdown i Hi ltac:(lia)))); auto. }
  replace (S N - S i + 1) with (N - i + 1) in L by lia. lia.
Qed.
