(** * Shape.v -- one shape for all budgets, and when it is uniform

    The networks of [Balance], here without fixed costs: MACs are homogeneous of degree 2 in the widths.  *)
From Coq Require Import QArith Lqa Lia Arith Setoid.
Require Import Seesaw Balance.
Open Scope Q_scope.

(** ** One shape: without fixed costs MACs are homogeneous of degree 2; if t > 0 keeps the order of the
    values, a best choice times t is a best choice at t^2 times the budget, and nothing else is. *)
Definition scaled (t : Q) (n : nat -> Q) (i : nat) := t * n i.
Definition best (value cost : (nat -> Q) -> Q) (budget : Q) (n : nat -> Q) :=
  (forall i, 0 < n i) /\ cost n <= budget /\
  forall k, (forall i, 0 < k i) -> cost k <= budget -> value k <= value n.

Section Scaling.
  Variables value cost : (nat -> Q) -> Q.
  Hypothesis value_ext : forall n k, (forall i, n i == k i) -> value n == value k.
  Hypothesis cost_ext : forall n k, (forall i, n i == k i) -> cost n == cost k.
  Hypothesis homogeneous : forall t n, cost (scaled t n) == t * t * cost n.
  Hypothesis homothetic : forall t n k, 0 < t -> (forall i, 0 < n i) -> (forall i, 0 < k i) ->
    value n <= value k -> value (scaled t n) <= value (scaled t k).

  Theorem one_shape t budget n : 0 < t -> (best value cost budget n <-> best value cost (t * t * budget) (scaled t n)).
  Proof.
    assert (forward : forall t budget n, 0 < t -> best value cost budget n -> best value cost (t * t * budget) (scaled t n)).
    { clear t budget n. intros t budget n H (P & C & O). pose proof (inverse_pos t H) as I. split; [|split].
      - intros i. apply Qmult_lt_0_compat; auto.
      - rewrite homogeneous. assert (0 <= t * t) by nra. nra.
      - intros k K D. assert (Kp : forall i, 0 < scaled (/ t) k i) by (intros i; apply Qmult_lt_0_compat; auto).
        assert (E : forall i, k i == scaled t (scaled (/ t) k) i) by (intros i; unfold scaled; field; lra).
        rewrite (value_ext _ _ E). apply homothetic; auto. apply O; auto.
        rewrite homogeneous. assert (/ t * / t * (t * t) == 1) as J by (field; lra).
        assert (0 <= / t * / t) by nra.
        assert (/ t * / t * cost k <= / t * / t * (t * t * budget)) by nra.
        setoid_replace (/ t * / t * (t * t * budget)) with (/ t * / t * (t * t) * budget) in H1 by ring. rewrite J in H1. lra. }
    intros H. split; [apply forward; auto|]. intros B.
    pose proof (forward (/ t) _ _ (inverse_pos t H) B) as (_ & C & O).
    assert (E : forall i, scaled (/ t) (scaled t n) i == n i) by (intros i; unfold scaled; field; lra).
    assert (F : / t * / t * (t * t * budget) == budget) by (field; lra).
    rewrite (cost_ext _ _ E), F in C. split; [|split]; auto.
    - intros i. destruct B as (P & _). specialize (P i). unfold scaled in P.
      apply Qnot_le_lt. intros N. nra.
    - intros k K D. rewrite <- (value_ext _ _ E). apply O; auto. rewrite F. auto.
  Qed.
End Scaling.

Lemma macs_ext m c f n k : (forall i, n i == k i) -> macs m c f n == macs m c f k.
Proof.
  intros E. unfold macs. apply sum_ext. intros i _. rewrite (E i).
  rewrite (sum_ext (fun j => c i j * n j) (fun j => c i j * k j)); [ring|]. intros j _. rewrite (E j). ring.
Qed.

Lemma macs_scaled m c t n : macs m c (fun _ => 0) (scaled t n) == t * t * macs m c (fun _ => 0) n.
Proof.
  unfold macs. rewrite <- sum_scale. apply sum_ext. intros i _. unfold scaled.
  setoid_replace (sum (fun j => c i j * (t * n j)) m) with (t * sum (fun j => c i j * n j) m); [ring|].
  rewrite <- sum_scale. apply sum_ext. intros; ring.
Qed.

(** CES with the same gamma e = g everywhere: any amplitudes, any sizes. *)
Corollary ces_has_one_shape m c g a t budget n : 0 < t ->
  let value n := - loss g a n m in let cost := macs m c (fun _ => 0) in
  best value cost budget n <-> best value cost (t * t * budget) (scaled t n).
Proof.
  intros H. apply one_shape; auto.
  - intros u v E. assert (loss g a u m == loss g a v m); [|lra].
    apply sum_ext. intros i _. rewrite (pow_ext _ _ g (E i)). lra.
  - intros u v E. apply macs_ext; auto.
  - intros. apply macs_scaled.
  - intros u v k Hu P K L.
    assert (S : forall v, (forall i, 0 < v i) -> loss g a (scaled u v) m == / pow u g * loss g a v m).
    { clear - Hu. intros v V. unfold loss. rewrite <- sum_scale. apply sum_ext. intros i _. unfold scaled. rewrite pow_mul.
      field. pose proof (pow_pos u g Hu). pose proof (pow_pos (v i) g (V i)). split; lra. }
    rewrite !S; auto. pose proof (inverse_pos _ (pow_pos u g Hu)). nra.
Qed.

(** Powers with the same exponent e: the sum (alike units: e = 1). *)
Corollary sum_has_one_shape m c e a t budget n : 0 < t ->
  let value n := sum (fun i => a i * pow (n i) e) m in let cost := macs m c (fun _ => 0) in
  best value cost budget n <-> best value cost (t * t * budget) (scaled t n).
Proof.
  intros H. apply one_shape; auto.
  - intros u v E. apply sum_ext. intros i _. rewrite (pow_ext _ _ e (E i)). lra.
  - intros u v E. apply macs_ext; auto.
  - intros. apply macs_scaled.
  - intros u v k Hu P K L.
    assert (S : forall v, sum (fun i => a i * pow (scaled u v i) e) m == pow u e * sum (fun i => a i * pow (v i) e) m).
    { intros w. rewrite <- sum_scale. apply sum_ext. intros i _. unfold scaled. rewrite pow_mul. ring. }
    rewrite !S. pose proof (pow_pos u e Hu). nra.
Qed.

(** The logarithm, as a product of powers: exponents w i = A_i e_i may differ. *)
Corollary log_has_one_shape m c w t budget n : 0 < t ->
  let value n := geometric w n m in let cost := macs m c (fun _ => 0) in
  best value cost budget n <-> best value cost (t * t * budget) (scaled t n).
Proof.
  intros H. apply one_shape; auto.
  - intros u v E. clear - E. induction m; simpl; [lra|]. rewrite IHm, (pow_ext _ _ (w m) (E m)). lra.
  - intros u v E. apply macs_ext; auto.
  - intros. apply macs_scaled.
  - intros u v k Hu P K L.
    assert (S : forall v, geometric w (scaled u v) m == geometric w (scaled u (fun _ => 1)) m * geometric w v m).
    { clear. intros v. induction m; simpl; [lra|]. rewrite IHm. unfold scaled. rewrite !pow_mul.
      assert (pow 1 (w m) == 1) as -> by (clear; induction (w m); simpl; lra). ring. }
    assert (G : 0 < geometric w (scaled u (fun _ => 1)) m).
    { clear - Hu. induction m; simpl; [lra|]. apply Qmult_lt_0_compat; auto. apply pow_pos. unfold scaled. lra. }
    rewrite (S v), (S k). nra.
Qed.

(** ** That the worth falls is needed: for the logarithm it is level, and along a see-saw two choices are
    balanced at the same price, neither inside the other. *)
Definition one_pair (i j : nat) : Q := match i, j with 0%nat, 1%nat => 1 | 1%nat, 0%nat => 1 | _, _ => 0 end.
Definition two (x y : Q) (i : nat) : Q := match i with O => x | _ => y end.

Theorem level_worth_is_not_nested :
  let level r := balanced 2 one_pair (fun _ => 0) 1 (fun _ => 1) (fun _ => 0) (fun _ => 9) r in
  level (two 1 1) /\ level (two (1 # 2) 2) /\ two (1 # 2) 2 0%nat < two 1 1 0%nat /\ two 1 1 1%nat < two (1 # 2) 2 1%nat.
Proof.
  split; [|split; [|split; reflexivity]]; (split; [reflexivity|]);
    intros [|[|i]] Hi; try lia; vm_compute; repeat split; intros; discriminate.
Qed.

(** ** With different exponents the shape changes with the budget: two groups, losses 1/n and 1/(2 n^2),
    cost n0 n1: (1, 1) is best at 1, and (4, 2) at 8.  They are nested all the same ([nested_budgets]). *)
Theorem different_exponents_other_shape y : (forall i, 0 < y i) ->
  let total := macs 2 one_pair (fun _ => 0) in let lost := ces_loss 2 0 (fun i => i) (fun _ => 1) in
  (total y <= 1 -> lost (two 1 1) <= lost y) /\ (total y <= 8 -> lost (two 4 2) <= lost y).
Proof.
  intros P total lost.
  assert (Y : total y == y 0%nat * y 1%nat) by (unfold total, macs; simpl; ring).
  assert (cp : forall i j, 0 <= one_pair i j) by (intros [|[|i]] [|[|j]]; simpl; lra).
  assert (cs : forall i j, one_pair i j == one_pair j i) by (intros [|[|i]] [|[|j]]; simpl; lra).
  assert (Z : macs 2 one_pair (fun _ => 0) (fun i => pow (y i) 1) == total y) by (unfold total, macs; simpl; ring).
  split; intros H.
  - refine (balanced_is_best 2 one_pair _ cp (fun _ => Qle_refl 0) cs 1 0 (fun i => i) (fun _ => 1) (two 1 1) y
              (fun _ => 0) (fun i => y i + 10) _ _ _ _ _); try (intros; lra); try lra.
    + intros [|[|i]] Hi; try lia; specialize (P 0%nat) as P0; specialize (P 1%nat); simpl; repeat split; lra.
    + intros [|[|i]] Hi; try lia; simpl; split; intros; vm_compute; discriminate.
    + rewrite Z. unfold macs; simpl. lra.
  - refine (balanced_is_best 2 one_pair _ cp (fun _ => Qle_refl 0) cs (1 # 32) 0 (fun i => i) (fun _ => 1) (two 4 2) y
              (fun _ => 0) (fun i => y i + 10) _ _ _ _ _); try (intros; lra); try lra.
    + intros [|[|i]] Hi; try lia; specialize (P 0%nat) as P0; specialize (P 1%nat); simpl; repeat split; lra.
    + intros [|[|i]] Hi; try lia; simpl; split; intros; vm_compute; discriminate.
    + rewrite Z. unfold macs; simpl. lra.
Qed.

(** ** Uniform widths, without fixed costs: balanced at one budget, and then at all, if and only if the
    MACs that touch the groups at full width are in proportion to w i = A_i e_i. *)
Definition uniform (s : Q) (_ : nat) := s.

Lemma touched_uniform m c s i :
  touched m c (fun _ => 0) (uniform s) i == s * s * touched m c (fun _ => 0) (uniform 1) i.
Proof.
  unfold touched, rate, uniform.
  setoid_replace (sum (fun j => c i j * s) m) with (s * sum (fun j => c i j * 1) m); [ring|].
  rewrite <- sum_scale. apply sum_ext. intros; ring.
Qed.

Theorem uniform_iff_proportional m c w g s : 0 < s ->
  (exists l, 0 < l /\ forall i, (i < m)%nat -> l * touched m c (fun _ => 0) (uniform s) i == w i * / pow s g) <->
  (exists u, 0 < u /\ forall i, (i < m)%nat -> touched m c (fun _ => 0) (uniform 1) i == u * w i).
Proof.
  intros H. pose proof (pow_pos s g H) as P. assert (S : 0 < s * s) by nra. split; intros (l & L & E).
  - exists (/ (l * (s * s) * pow s g)). assert (D : 0 < l * (s * s) * pow s g) by (repeat apply Qmult_lt_0_compat; auto).
    split; [apply inverse_pos; auto|]. intros i Hi. specialize (E i Hi). rewrite touched_uniform in E.
    set (t := touched m c (fun _ => 0) (uniform 1) i) in *.
    transitivity (/ (l * (s * s)) * (l * (s * s * t))); [field; split; lra|]. rewrite E. field. repeat split; lra.
  - exists (/ (l * (s * s) * pow s g)). assert (D : 0 < l * (s * s) * pow s g) by (repeat apply Qmult_lt_0_compat; auto).
    split; [apply inverse_pos; auto|]. intros i Hi. rewrite touched_uniform, (E i Hi). field. repeat split; lra.
Qed.

(** If the exponents differ uniform widths are balanced at one budget at most. *)
Theorem uniform_at_two_budgets m c w g s t l k i j : 0 < s -> s < t -> 0 < l -> 0 < k ->
  (forall i, (i < m)%nat -> 0 < w i) ->
  (forall i, (i < m)%nat -> l * touched m c (fun _ => 0) (uniform s) i == w i * / pow s (g i)) ->
  (forall i, (i < m)%nat -> k * touched m c (fun _ => 0) (uniform t) i == w i * / pow t (g i)) ->
  (i < m)%nat -> (j < m)%nat -> g i = g j.
Proof.
  intros S T L K W E F Hi Hj. set (x := t * / s).
  assert (X : 1 < x). { unfold x. pose proof (inverse_pos s S). pose proof (inverse_mul s S). nra. }
  assert (Same : forall i, (i < m)%nat -> pow x (g i) == l * (s * s) * / (k * (t * t))).
  { clear i j Hi Hj. intros i Hi. specialize (E i Hi). specialize (F i Hi). rewrite touched_uniform in E, F. specialize (W i Hi).
    set (d := touched m c (fun _ => 0) (uniform 1) i) in *. clearbody d.
    pose proof (pow_pos s (g i) S) as Ps. pose proof (pow_pos t (g i) ltac:(lra)) as Pt.
    assert (A : pow x (g i) * pow s (g i) == pow t (g i)).
    { rewrite <- pow_mul. apply pow_ext. unfold x. field. lra. }
    assert (0 < w i * / pow s (g i)) by (apply Qmult_lt_0_compat; auto; apply inverse_pos; auto).
    assert (LS : 0 < l * (s * s)) by (repeat apply Qmult_lt_0_compat; auto).
    assert (D : 0 < d).
    { apply Qnot_le_lt. intros N. assert (l * (s * s * d) == l * (s * s) * d) as R by ring. rewrite R in E. clear - N E H LS. nra. }
    assert (E1 : l * (s * s) * d * pow s (g i) == w i).
    { setoid_replace (l * (s * s) * d) with (l * (s * s * d)) by ring. rewrite E. field. lra. }
    assert (F1 : k * (t * t) * d * pow t (g i) == w i).
    { setoid_replace (k * (t * t) * d) with (k * (t * t * d)) by ring. rewrite F. field. lra. }
    assert (Tp : 0 < t) by (clear - S T; lra).
    assert (KT : 0 < k * (t * t)) by (repeat apply Qmult_lt_0_compat; auto).
    assert (0 < k * (t * t) * d * pow s (g i)) by (repeat apply Qmult_lt_0_compat; auto).
    apply (Qmult_inj_r _ _ (k * (t * t) * d * pow s (g i))); [lra|].
    transitivity (k * (t * t) * d * (pow x (g i) * pow s (g i))); [ring|]. rewrite A, F1, <- E1. field. split; lra. }
  pose proof (Same i Hi) as A. rewrite <- (Same j Hj) in A. clear - X A.
  assert (grows : forall n d, pow x n < pow x (n + S d)).
  { intros n d. rewrite pow_plus. pose proof (pow_pos x n ltac:(lra)).
    assert (1 < pow x (S d)); [|nra]. induction d; simpl in *; [lra|]. pose proof (pow_pos x d ltac:(lra)). nra. }
  destruct (Nat.lt_trichotomy (g i) (g j)) as [H|[H|H]]; auto; exfalso.
  - pose proof (grows (g i) (g j - g i - 1)%nat) as G. replace (g i + S (g j - g i - 1))%nat with (g j) in G by lia. lra.
  - pose proof (grows (g j) (g i - g j - 1)%nat) as G. replace (g j + S (g i - g j - 1))%nat with (g i) in G by lia. lra.
Qed.

(** Gamma to infinity: no widths of the same MACs, fixed costs included, keep more of their narrowest group. *)
Theorem uniform_is_max_min m c f s r : (0 < m)%nat -> (forall i j, 0 <= c i j) -> (forall i, 0 <= f i) -> 0 < s ->
  0 < macs m c f (uniform s) -> macs m c f r <= macs m c f (uniform s) -> exists i, (i < m)%nat /\ r i <= s.
Proof.
  intros Hm Cp Fp S P L. destruct (least r m Hm) as (i & Hi & Min). exists i. split; auto.
  apply Qnot_lt_le. intros N. set (x := r i * / s).
  assert (X : 1 < x). { unfold x. pose proof (inverse_pos s S). pose proof (inverse_mul s S). nra. }
  assert (A : x * s == r i) by (apply over_mul; auto).
  assert (x * macs m c f (uniform s) <= macs m c f r); [|nra].
  unfold macs. rewrite <- sum_scale. apply sum_le. intros j Hj. unfold uniform. pose proof (Min j Hj) as Mj.
  assert (I : sum (fun k => c j k * s) m <= sum (fun k => c j k * r k) m).
  { apply sum_le. intros k Hk. pose proof (Min k Hk). pose proof (Cp j k). nra. }
  assert (J : 0 <= sum (fun k => c j k * s) m) by (apply sum_nonneg; intros k Hk; pose proof (Cp j k); nra).
  pose proof (Fp j) as Fj.
  set (u := f j + (1 # 2) * sum (fun k => c j k * s) m). set (v := f j + (1 # 2) * sum (fun k => c j k * r k) m).
  assert (0 <= u) by (unfold u; lra). assert (u <= v) by (unfold u, v; lra).
  setoid_replace (x * (s * u)) with (x * s * u) by ring. rewrite A. nra.
Qed.
