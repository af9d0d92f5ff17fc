(** * Seesaw.v -- which values of widths have an optimum inside, if costs are products of neighbours

    A chain of groups 0 .. m of rational widths [n i] > 0 costs the sum over its m pairs of
    [c i * n i * n (i+1)].  The see-saw multiplies every even group by t and divides every odd
    one by t: no product changes.  Along it the sum is convex, a product of powers (the
    logarithm) monotone, and a sum of [- a / n^g] (CES) concave: the sum and the logarithm
    have no optimum inside, CES has.  Widths are fractions: rounding is outside.            *)
From Coq Require Import QArith Lqa Lia Arith Setoid.
Open Scope Q_scope.

Fixpoint sum (f : nat -> Q) (m : nat) : Q :=
  match m with O => 0 | S k => sum f k + f k end.
Fixpoint pow (x : Q) (g : nat) : Q :=
  match g with O => 1 | S k => x * pow x k end.

Definition cost (c n : nat -> Q) (m : nat) := sum (fun i => c i * n i * n (S i)) m.
Definition seesaw (t : Q) (n : nat -> Q) (i : nat) := if Nat.even i then t * n i else / t * n i.

Definition linear (a n : nat -> Q) (m : nat) := sum (fun i => a i * n i) m.
Definition loss (g : nat) (a n : nat -> Q) (m : nat) := sum (fun i => a i * / pow (n i) g) m.
Fixpoint geometric (w : nat -> nat) (n : nat -> Q) (m : nat) : Q :=
  match m with O => 1 | S k => geometric w n k * pow (n k) (w k) end.
Fixpoint weight (even : bool) (w : nat -> nat) (m : nat) : nat :=
  match m with
  | O => O
  | S k => (weight even w k + if Bool.eqb (Nat.even k) even then w k else 0)%nat
  end.

(** ** Helpers *)
Lemma sum_ext f h m : (forall i, (i < m)%nat -> f i == h i) -> sum f m == sum h m.
Proof. induction m; simpl; intros H; [lra|rewrite IHm, H; auto; lra]. Qed.

Lemma sum_add f h m : sum f m + sum h m == sum (fun i => f i + h i) m.
Proof. induction m; simpl; lra. Qed.

Lemma sum_lt f h m : (0 < m)%nat -> (forall i, (i < m)%nat -> f i < h i) -> sum f m < sum h m.
Proof.
  destruct m as [|m]; [lia|]. intros _. induction m; simpl; intros H.
  - specialize (H O ltac:(lia)). lra.
  - assert (sum f (S m) < sum h (S m)) as L by (apply IHm; intros; apply H; lia).
    specialize (H (S m) ltac:(lia)). simpl in L. lra.
Qed.

Lemma pow_pos x g : 0 < x -> 0 < pow x g.
Proof. intros H. induction g; simpl; [lra|nra]. Qed.

Lemma pow_mul x y g : pow (x * y) g == pow x g * pow y g.
Proof. induction g; simpl; [lra|rewrite IHg; ring]. Qed.

Lemma pow_ext x y g : x == y -> pow x g == pow y g.
Proof. intros H. induction g; simpl; [lra|rewrite IHg, H; lra]. Qed.

Lemma pow_plus x g h : pow x (g + h) == pow x g * pow x h.
Proof. induction g; simpl; [lra|rewrite IHg; ring]. Qed.

Lemma pow_inv x g : ~ x == 0 -> pow (/ x) g * pow x g == 1.
Proof.
  intros H. induction g; simpl; [lra|].
  setoid_replace (/ x * pow (/ x) g * (x * pow x g)) with (pow (/ x) g * pow x g * (/ x * x)) by ring.
  rewrite IHg. field. auto.
Qed.

Lemma inverse_pos t : 0 < t -> 0 < / t.
Proof. apply Qinv_lt_0_compat. Qed.

Lemma inverse_mul t : 0 < t -> / t * t == 1.
Proof. intros H. field. lra. Qed.

(** t + 1/t > 2 away from 1. *)
Lemma more_than_two t : 0 < t -> ~ t == 1 -> 2 < t + / t.
Proof.
  intros H N. pose proof (inverse_pos t H). pose proof (inverse_mul t H) as E.
  assert (0 < (t - 1) * (t - 1)).
  { destruct (Qlt_le_dec t 1); [nra|]. assert (1 < t) by lra. nra. }
  nra.
Qed.

Lemma pow_not_one t g : 0 < t -> ~ t == 1 -> ~ pow t (S g) == 1.
Proof.
  intros H N. destruct (Qlt_le_dec t 1) as [L|L].
  - assert (pow t (S g) < 1); [|lra]. induction g; simpl in *; [lra|].
    pose proof (pow_pos t g H). nra.
  - assert (1 < t) by lra. assert (1 < pow t (S g)); [|lra]. induction g; simpl in *; [lra|].
    pose proof (pow_pos t g H). nra.
Qed.

(** ** The see-saw keeps every product of neighbours, and so the cost. *)
Theorem seesaw_keeps_cost t c n m : 0 < t -> cost c (seesaw t n) m == cost c n m.
Proof.
  intros H. apply sum_ext. intros i _. pose proof (inverse_mul t H) as E. unfold seesaw.
  rewrite Nat.even_succ, <- Nat.negb_even. destruct (Nat.even i); simpl.
  - setoid_replace (c i * (t * n i) * (/ t * n (S i))) with (c i * n i * n (S i) * (/ t * t)) by ring.
    rewrite E. ring.
  - setoid_replace (c i * (/ t * n i) * (t * n (S i))) with (c i * n i * n (S i) * (/ t * t)) by ring.
    rewrite E. ring.
Qed.

(** ** The sum: perfect substitutes.  Both ends of the see-saw together are worth more than
    twice its middle, so one of them is worth more, at the same cost. *)
Theorem seesaw_sum t a n m : 0 < t -> ~ t == 1 -> (0 < m)%nat ->
  (forall i, (i < m)%nat -> 0 < a i) -> (forall i, (i < m)%nat -> 0 < n i) ->
  2 * linear a n m < linear a (seesaw t n) m + linear a (seesaw (/ t) n) m.
Proof.
  intros H N Hm A P. unfold linear. rewrite sum_add.
  setoid_replace (2 * sum (fun i => a i * n i) m) with (sum (fun i => a i * n i + a i * n i) m)
    by (rewrite <- sum_add; ring).
  apply sum_lt; auto. intros i Hi. specialize (A i Hi). specialize (P i Hi).
  pose proof (more_than_two t H N). assert (0 < a i * n i) by nra. unfold seesaw.
  pose proof (Qinv_involutive t) as I. destruct (Nat.even i); [|rewrite I]; nra.
Qed.

Corollary sum_has_no_interior_optimum t c a n m : 0 < t -> ~ t == 1 -> (0 < m)%nat ->
  (forall i, (i < m)%nat -> 0 < a i) -> (forall i, (i < m)%nat -> 0 < n i) ->
  exists s, (s = t \/ s = / t) /\ cost c (seesaw s n) (m - 1) == cost c n (m - 1) /\
            linear a n m < linear a (seesaw s n) m.
Proof.
  intros H N Hm A P. pose proof (seesaw_sum t a n m H N Hm A P).
  destruct (Qlt_le_dec (linear a n m) (linear a (seesaw t n) m)).
  - exists t. split; auto. split; auto. apply seesaw_keeps_cost; auto.
  - exists (/ t). split; auto. split; [apply seesaw_keeps_cost, inverse_pos; auto|lra].
Qed.

(** ** The logarithm: Cobb-Douglas.  The product of the powers [n i ^ w i] changes by
    t ^ (weight of the even groups - weight of the odd ones). *)
Theorem seesaw_log t w n m : 0 < t ->
  geometric w (seesaw t n) m * pow t (weight false w m) == geometric w n m * pow t (weight true w m).
Proof.
  intros H. induction m; simpl; [ring|]. unfold seesaw at 2. rewrite !pow_plus.
  destruct (Nat.even m); simpl.
  - rewrite pow_mul.
    setoid_replace (geometric w (seesaw t n) m * (pow t (w m) * pow (n m) (w m)) * (pow t (weight false w m) * 1))
      with (geometric w (seesaw t n) m * pow t (weight false w m) * (pow t (w m) * pow (n m) (w m))) by ring.
    rewrite IHm. ring.
  - rewrite pow_mul.
    setoid_replace (geometric w (seesaw t n) m * (pow (/ t) (w m) * pow (n m) (w m)) *
                    (pow t (weight false w m) * pow t (w m)))
      with (geometric w (seesaw t n) m * pow t (weight false w m) * pow (n m) (w m) *
            (pow (/ t) (w m) * pow t (w m))) by ring.
    rewrite IHm, pow_inv; [ring|lra].
Qed.

(** Unless both weights are equal, one of the two directions gains. *)
Corollary log_has_no_interior_optimum t w n m : 1 < t ->
  (forall i, (i < m)%nat -> 0 < n i) -> (weight false w m < weight true w m)%nat ->
  geometric w n m < geometric w (seesaw t n) m.
Proof.
  intros H P W. assert (T : 0 < t) by lra. pose proof (seesaw_log t w n m T) as E.
  assert (G : 0 < geometric w n m).
  { clear E W. induction m; simpl; [lra|].
    assert (0 < geometric w n m) by (apply IHm; intros; apply P; lia).
    pose proof (pow_pos (n m) (w m) (P m ltac:(lia))). nra. }
  assert (exists k, weight true w m = (weight false w m + S k)%nat) as [k K]
    by (exists (weight true w m - weight false w m - 1)%nat; lia).
  rewrite K, pow_plus in E. pose proof (pow_pos t (weight false w m) T) as F.
  assert (1 < pow t (S k)).
  { clear - H. induction k; simpl in *; [lra|]. pose proof (pow_pos t k ltac:(lra)). nra. }
  assert (geometric w (seesaw t n) m == geometric w n m * pow t (S k)) as ->.
  { apply (Qmult_inj_r _ _ (pow t (weight false w m))); [lra|]. rewrite E. ring. }
  nra.
Qed.

(** ** CES with gamma e = g = 1, 2, ...: the middle of a see-saw loses less than the mean of
    its ends: the value is strictly concave along it. *)
Theorem seesaw_ces t g a n m : 0 < t -> ~ t == 1 -> (0 < m)%nat ->
  (forall i, (i < m)%nat -> 0 < a i) -> (forall i, (i < m)%nat -> 0 < n i) ->
  2 * loss (S g) a n m < loss (S g) a (seesaw t n) m + loss (S g) a (seesaw (/ t) n) m.
Proof.
  intros H N Hm A P. unfold loss. rewrite sum_add.
  setoid_replace (2 * sum (fun i => a i * / pow (n i) (S g)) m)
    with (sum (fun i => a i * / pow (n i) (S g) + a i * / pow (n i) (S g)) m) by (rewrite <- sum_add; ring).
  apply sum_lt; auto. intros i Hi. specialize (A i Hi). specialize (P i Hi).
  pose proof (pow_pos (n i) (S g) P) as D. pose proof (inverse_pos _ D).
  pose proof (pow_pos t (S g) H) as T.
  pose proof (more_than_two _ T (pow_not_one t g H N)) as M.
  assert (U : / pow (t * n i) (S g) == / pow t (S g) * / pow (n i) (S g)).
  { rewrite pow_mul. field. split; lra. }
  assert (V : / pow (/ t * n i) (S g) == pow t (S g) * / pow (n i) (S g)).
  { rewrite pow_mul. apply (Qmult_inj_r _ _ (pow (n i) (S g) * pow (/ t) (S g))).
    - pose proof (pow_pos (/ t) (S g) (inverse_pos t H)). nra.
    - pose proof (pow_inv t (S g) ltac:(lra)) as I. pose proof (pow_pos (/ t) (S g) (inverse_pos t H)).
      setoid_replace (pow t (S g) * / pow (n i) (S g) * (pow (n i) (S g) * pow (/ t) (S g)))
        with (pow (/ t) (S g) * pow t (S g) * (/ pow (n i) (S g) * pow (n i) (S g))) by ring.
      rewrite I, inverse_mul by auto. field. split; lra. }
  assert (0 < a i * / pow (n i) (S g)) by nra.
  unfold seesaw. pose proof (Qinv_involutive t) as I.
  destruct (Nat.even i); [|rewrite (pow_ext (/ / t * n i) (t * n i)) by (rewrite I; lra)]; rewrite U, V; nra.
Qed.

(** ** Fractions as exponents: widths n i ^ q and the value sum a i * n i ^ p with p, q >= 1 are any gamma
    e = - p / q < 0: between the sum and the logarithm there is no optimum inside either. *)
Theorem seesaw_keeps_powers t c q n m : 0 < t ->
  cost c (fun i => pow (seesaw t n i) q) m == cost c (fun i => pow (n i) q) m.
Proof.
  intros H. rewrite <- (seesaw_keeps_cost (pow t q) c (fun i => pow (n i) q) m (pow_pos t q H)).
  assert (E : forall i, pow (seesaw t n i) q == seesaw (pow t q) (fun j => pow (n j) q) i).
  { intros i. unfold seesaw. destruct (Nat.even i); rewrite pow_mul; [ring|].
    pose proof (pow_pos t q H) as P. pose proof (pow_inv t q ltac:(lra)) as I.
    apply (Qmult_inj_r _ _ (pow t q)); [lra|].
    setoid_replace (pow (/ t) q * pow (n i) q * pow t q) with (pow (/ t) q * pow t q * pow (n i) q) by ring.
    rewrite I. field. lra. }
  apply sum_ext. intros i _. rewrite (E i), (E (S i)). ring.
Qed.

Theorem seesaw_power t p a n m : 0 < t -> ~ t == 1 -> (0 < m)%nat ->
  (forall i, (i < m)%nat -> 0 < a i) -> (forall i, (i < m)%nat -> 0 < n i) ->
  let value k := sum (fun i => a i * pow (k i) (S p)) m in
  2 * value n < value (seesaw t n) + value (seesaw (/ t) n).
Proof.
  intros H N Hm A P value. unfold value. rewrite sum_add.
  setoid_replace (2 * sum (fun i => a i * pow (n i) (S p)) m)
    with (sum (fun i => a i * pow (n i) (S p) + a i * pow (n i) (S p)) m) by (rewrite <- sum_add; ring).
  apply sum_lt; auto. intros i Hi. specialize (A i Hi). specialize (P i Hi).
  pose proof (pow_pos (n i) (S p) P) as D. pose proof (pow_pos t (S p) H) as T.
  pose proof (more_than_two _ T (pow_not_one t p H N)) as M.
  assert (I : pow (/ t) (S p) == / pow t (S p)).
  { apply (Qmult_inj_r _ _ (pow t (S p))); [lra|]. rewrite pow_inv; [|lra]. field. lra. }
  assert (0 < a i * pow (n i) (S p)) by (apply Qmult_lt_0_compat; auto).
  unfold seesaw. pose proof (Qinv_involutive t) as J.
  destruct (Nat.even i); [|rewrite (pow_ext (/ / t * n i) (t * n i)) by (rewrite J; lra)]; rewrite !pow_mul, I; nra.
Qed.

(** ** How far apart the widths of a CES optimum are, on a chain of alike layers.  At a
    stationary point [n i ^ (g+1) * (sum of its neighbours)] is the same for all groups; then
    (widest / narrowest) ^ g <= 2, however long the chain. *)
Definition neighbours (n : nat -> Q) (m i : nat) :=
  (match i with O => 0 | S k => n k end) + (if Nat.eqb i m then 0 else n (S i)).

Theorem ces_spread g m n l i j : (1 <= m)%nat -> (i <= m)%nat -> (j <= m)%nat ->
  (forall k, (k <= m)%nat -> 0 < n k) ->
  (forall k, (k <= m)%nat -> pow (n k) (S g) * neighbours n m k == l) ->
  (forall k, (k <= m)%nat -> n k <= n i) -> (forall k, (k <= m)%nat -> n j <= n k) ->
  pow (n i) g <= 2 * pow (n j) g.
Proof.
  intros Hm Hi Hj P E M L.
  assert (one : n j <= neighbours n m i).
  { unfold neighbours. destruct (Nat.eqb_spec i m) as [->|].
    - destruct m as [|m]; [lia|]. pose proof (L m ltac:(lia)). lra.
    - pose proof (L (S i) ltac:(lia)). destruct i as [|i]; [lra|]. pose proof (P i ltac:(lia)). lra. }
  assert (two : neighbours n m j <= 2 * n i).
  { pose proof (P i Hi). unfold neighbours. destruct (Nat.eqb_spec j m) as [->|].
    - destruct m as [|m]; [lia|]. pose proof (M m ltac:(lia)). lra.
    - pose proof (M (S j) ltac:(lia)). destruct j as [|j]; [lra|]. pose proof (M j ltac:(lia)). lra. }
  pose proof (E i Hi) as Ei. pose proof (E j Hj) as Ej. pose proof (P i Hi) as Pi. pose proof (P j Hj) as Pj.
  pose proof (pow_pos (n i) (S g) Pi) as Qi. pose proof (pow_pos (n j) (S g) Pj) as Qj.
  assert (pow (n i) (S g) * n j <= pow (n j) (S g) * (2 * n i)).
  { apply Qle_trans with (pow (n i) (S g) * neighbours n m i); [nra|]. rewrite Ei, <- Ej. nra. }
  simpl in H. apply (Qmult_le_l _ _ (n i * n j)); [nra|]. nra.
Qed.

(** It is tight: three groups, g = 1: widths 2, 1, 2 are stationary, and 2 = 2 * 1. *)
Theorem ces_spread_tight :
  let n := fun i => match i with 1%nat => 1 | _ => 2 end in
  (forall k, (k <= 2)%nat -> pow (n k) 2 * neighbours n 2 k == 4) /\ pow (n 0%nat) 1 == 2 * pow (n 1%nat) 1.
Proof.
  split; [|reflexivity]. intros [|[|[|k]]] H; try reflexivity. lia.
Qed.
