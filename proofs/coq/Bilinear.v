(** * Bilinear.v -- the gap: costs that are products of widths

    In a network the cost of two neighbouring layers of widths [a] and [b] is the
    product a*b, not a sum over units.  This file shows what becomes of the
    guarantees then: neither 2/3 nor any other constant survives for bottom-up over
    many capacities, and what does hold instead.

    A choice is a pair of widths.  [v1 a] is the profit of the first [a] units of
    layer 1 (they are sorted by importance), [v2 b] the same for layer 2.  Every
    layer keeps at least one unit.                                             *)
From Coq Require Import Arith Lia Bool.
Require Import Knapsack.

Section Definitions.
  Variables N1 N2 : nat.             (* the full widths *)
  Variables v1 v2 : nat -> nat.
  Definition widths := (nat * nat)%type.
  Definition value (x : widths) := v1 (fst x) + v2 (snd x).
  Definition within (x y : widths) := fst x <= fst y /\ snd x <= snd y.
  Definition affordable (c : nat) (x : widths) :=
    within (1, 1) x /\ within x (N1, N2) /\ fst x * snd x <= c.
  Definition b_optimal (c : nat) (x : widths) :=
    affordable c x /\ forall y, affordable c y -> value y <= value x.
  Definition b_OPT (c v : nat) := exists x, b_optimal c x /\ value x = v.
  Definition b_extends (c : nat) (x1 x2 : widths) :=
    within x1 x2 /\ affordable c x2 /\
    forall y, within x1 y -> affordable c y -> value y <= value x2.
  Definition b_restricts (c : nat) (x2 x1 : widths) :=
    within x1 x2 /\ affordable c x1 /\
    forall y, within y x2 -> affordable c y -> value y <= value x1.
End Definitions.

Definition linear (q n : nat) := q * n.

(** With linear profits the best pair of widths is at one of the two ends. *)
Lemma ends p q X Y x y : 1 <= x -> x <= X -> x * y <= X * Y ->
  p * x + q * y <= p + q * (X * Y) \/ p * x + q * y <= p * X + q * Y.
Proof.
  intros H1 H2 H. destruct (le_lt_dec (q * Y) p) as [L|L].
  - right. destruct (le_lt_dec y Y) as [|Ly].
    + apply Nat.add_le_mono; apply Nat.mul_le_mono_l; auto.
    + assert (exists z, y = Y + z) as [z ->] by (exists (y - Y); lia).
      assert (exists e, X = x + e) as [e ->] by (exists (X - x); lia).
      assert (1 * z <= x * z) by (apply Nat.mul_le_mono_r; auto).
      assert (z <= e * Y) by lia.
      assert (q * z <= q * (e * Y)) by (apply Nat.mul_le_mono_l; auto).
      assert (q * Y * e <= p * e) by (apply Nat.mul_le_mono_r; auto). lia.
  - left. assert (exists e, x = 1 + e) as [e ->] by (exists (x - 1); lia).
    assert (K : y + Y * e <= X * Y).
    { destruct (le_lt_dec Y y).
      - assert (Y * e <= y * e) by (apply Nat.mul_le_mono_r; auto). lia.
      - assert ((1 + e) * Y <= X * Y) by (apply Nat.mul_le_mono_r; auto). lia. }
    assert (q * (y + Y * e) <= q * (X * Y)) by (apply Nat.mul_le_mono_l; auto).
    assert (p * e <= q * Y * e) by (apply Nat.mul_le_mono_r; lia). lia.
Qed.

(** ** The instance.  Layer 1: 5 units of profit 101; layer 2: 10 units of profit 100;
    capacities 5 and 10.  Bottom-up takes (5,1) and then (5,2), worth 705; the optimum
    is (1,10), worth 1101.  705/1101 = 0.640 is less than 2/3. *)
Theorem bilinear_gap :
  let v1 := linear 101 in let v2 := linear 100 in
  b_optimal 5 10 v1 v2 5 (5, 1) /\
  b_extends 5 10 v1 v2 10 (5, 1) (5, 2) /\
  b_OPT 5 10 v1 v2 10 1101 /\
  value v1 v2 (5, 2) = 705 /\ 3 * 705 < 2 * 1101.
Proof.
  cbv zeta. unfold b_OPT, b_optimal, b_extends, affordable, within, value, linear. cbn [fst snd].
  split; [split; [lia|]|split; [split; [lia|split; [lia|]]|split; [|lia]]].
  - intros [a b]. cbn [fst snd]. intros H. destruct a as [|[|[|[|[|[|a]]]]]]; lia.
  - intros [a b]. cbn [fst snd]. intros G H. assert (a = 5) by lia. subst. lia.
  - exists (1, 10). cbn [fst snd]. split; [split; [lia|]|reflexivity].
    intros [a b]. cbn [fst snd]. intros H. destruct a as [|[|[|[|[|[|a]]]]]]; lia.
Qed.

(** ** A family: bottom-up over K, 2K, ..., jK goes down to 1/j.

    Layer 1 has K units of profit q+1, layer 2 has jK units of profit q. *)
Theorem bilinear_bottom_up_family K j q :
  1 <= K -> 2 <= j -> 1 <= q ->
  let v1 := linear (q + 1) in let v2 := linear q in
  b_optimal K (j * K) v1 v2 K (K, 1) /\
  (forall i, 1 <= i -> i < j -> b_extends K (j * K) v1 v2 ((i + 1) * K) (K, i) (K, i + 1)) /\
  b_OPT K (j * K) v1 v2 (j * K) (q + 1 + q * (j * K)) /\
  value v1 v2 (K, j) = (q + 1) * K + q * j.
Proof.
  intros HK Hj Hq. cbv zeta.
  unfold b_OPT, b_optimal, b_extends, affordable, within, value, linear. cbn [fst snd].
  assert (jK : 1 <= j * K /\ j <= j * K).
  { assert (j * 1 <= j * K) by (apply Nat.mul_le_mono_l; auto). lia. }
  split; [split; [lia|]|split; [|split; [|reflexivity]]].
  - intros [a b]. cbn [fst snd]. intros (H1 & H2 & H3).
    destruct (ends (q + 1) q K 1 a b) as [E|E]; [lia|lia|lia| |lia].
    rewrite Nat.mul_1_r in E. lia.
  - intros i Hi1 Hi2.
    assert ((i + 1) * 1 <= (i + 1) * K) by (apply Nat.mul_le_mono_l; auto).
    assert ((i + 1) * K <= j * K) by (apply Nat.mul_le_mono_r; lia).
    split; [lia|split; [lia|]]. intros [a b]. cbn [fst snd]. intros G (H1 & H2 & H3).
    assert (a = K) by lia. subst a.
    assert (b <= i + 1).
    { apply (Nat.mul_le_mono_pos_l b (i + 1) K); lia. }
    assert (q * b <= q * (i + 1)) by (apply Nat.mul_le_mono_l; auto). lia.
  - exists (1, j * K). cbn [fst snd]. split; [split; [lia|]|lia].
    intros [a b]. cbn [fst snd]. intros (H1 & H2 & H3).
    destruct (ends (q + 1) q K j a b) as [E|E]; [lia|lia|lia|lia|].
    assert (exists i, j = S (S i)) as [i ->] by (exists (j - 2); lia).
    assert (exists l, K = S l) as [l ->] by (exists (K - 1); lia).
    assert (1 * l <= q * l) by (apply Nat.mul_le_mono_r; auto).
    assert (0 <= q * (i * l)) by lia. lia.
Qed.

(** Hence no fraction g/h above 1/j is guaranteed for j stages, in particular no
    constant for all j. *)
Corollary bilinear_bottom_up_sharp j g h :
  2 <= j -> h < j * g ->
  exists N1 N2 v1 v2 K (A : nat -> widths) opt,
    b_optimal N1 N2 v1 v2 K (A 1) /\
    (forall i, 1 <= i -> i < j -> b_extends N1 N2 v1 v2 ((i + 1) * K) (A i) (A (i + 1))) /\
    b_OPT N1 N2 v1 v2 (j * K) opt /\
    h * value v1 v2 (A j) < g * opt.
Proof.
  intros Hj H. set (z := h * (1 + j) + 1).
  destruct (bilinear_bottom_up_family z j z) as (h1 & h2 & h3 & h4); [lia|lia|lia|].
  exists z, (j * z), (linear (z + 1)), (linear z), z, (fun i => (z, i)), (z + 1 + z * (j * z)).
  split; [exact h1|split; [exact h2|split; [exact h3|]]]. rewrite h4.
  assert (G : (h + 1) * (z * z) <= j * g * (z * z)) by (apply Nat.mul_le_mono_r; lia).
  assert (Z : (h * (1 + j) + 1) * z = z * z) by reflexivity. lia.
Qed.

(** ** Top-down over K, 2K goes down to 1/2.  (So does bottom-up, with j = 2.)

    Layer 1 has K units of profit 2q-1, layer 2 has 2K units of profit q. *)
Theorem bilinear_top_down_family K q :
  2 <= K -> 1 <= q ->
  let v1 := linear (2 * q - 1) in let v2 := linear q in
  b_optimal K (2 * K) v1 v2 (2 * K) (1, 2 * K) /\
  b_restricts K (2 * K) v1 v2 K (1, 2 * K) (1, K) /\
  affordable K (2 * K) K (K, 1) /\
  value v1 v2 (1, K) = 2 * q - 1 + q * K /\
  value v1 v2 (K, 1) = (2 * q - 1) * K + q.
Proof.
  intros HK Hq. cbv zeta.
  unfold b_optimal, b_restricts, affordable, within, value, linear. cbn [fst snd].
  split; [split; [lia|]|split; [split; [lia|split; [lia|]]|split; [lia|split; lia]]].
  - intros [a b]. cbn [fst snd]. intros (H1 & H2 & H3).
    destruct (ends (2 * q - 1) q K 2 a b) as [E|E]; [lia|lia|lia|lia|].
    assert (exists r, q = S r) as [r ->] by (exists (q - 1); lia).
    replace (2 * S r - 1) with (2 * r + 1) in * by lia. lia.
  - intros [a b]. cbn [fst snd]. intros G (H1 & H2 & H3). assert (a = 1) by lia. subst a.
    assert (q * b <= q * K) by (apply Nat.mul_le_mono_l; lia). lia.
Qed.

Corollary bilinear_top_down_sharp g h :
  h < 2 * g ->
  exists N1 N2 v1 v2 K x1 x2 y,
    b_optimal N1 N2 v1 v2 (2 * K) x2 /\ b_restricts N1 N2 v1 v2 K x2 x1 /\
    affordable N1 N2 K y /\ h * value v1 v2 x1 < g * value v1 v2 y.
Proof.
  intros H. set (z := 2 * h + 2).
  destruct (bilinear_top_down_family z z) as (h1 & h2 & h3 & h4 & h5); [lia|lia|].
  exists z, (2 * z), (linear (2 * z - 1)), (linear z), z, (1, z), (1, 2 * z), (z, 1).
  split; [exact h1|split; [exact h2|split; [exact h3|]]]. rewrite h4, h5.
  replace ((2 * z - 1) * z + z) with (2 * (z * z)).
  - assert (G : (h + 1) * (z * z) <= 2 * g * (z * z)) by (apply Nat.mul_le_mono_r; lia).
    assert (Z : (2 * h + 2) * z = z * z) by reflexivity.
    replace (2 * z - 1 + z * z) with (z * z + 2 * z - 1) by lia.
    assert (h * (z * z + 2 * z - 1) <= h * (z * z + 2 * z)) by (apply Nat.mul_le_mono_l; lia).
    lia.
  - assert (exists r, z = S r) as [r ->] by (exists (z - 1); lia).
    replace (2 * S r - 1) with (2 * r + 1) by lia. lia.
Qed.

(** ** What still holds: the first of j stages is already worth 1/j of the optimum,
    up to the rounding of one width.

    Prefix profits of sorted units grow ever more slowly, hence are subadditive. *)
Definition prefix_profit (d : nat -> nat) (n : nat) := tot d every n.
Definition subadditive (v : nat -> nat) := v 0 = 0 /\ forall a b, v (a + b) <= v a + v b.
Definition increasing (v : nat -> nat) := forall a b, a <= b -> v a <= v b.

Lemma prefix_profit_subadditive d :
  (forall i j, i <= j -> d j <= d i) -> subadditive (prefix_profit d).
Proof.
  intros H. split; [reflexivity|]. intros a b. unfold prefix_profit.
  induction b as [|b IH]; simpl; [rewrite Nat.add_0_r; lia|].
  rewrite Nat.add_succ_r. simpl. pose proof (H b (a + b) ltac:(lia)). lia.
Qed.
Lemma prefix_profit_increasing d : increasing (prefix_profit d).
Proof. intros a b H. induction H; auto. unfold prefix_profit in *. simpl. lia. Qed.
Lemma linear_subadditive q : subadditive (linear q).
Proof. unfold subadditive, linear. split; intros; lia. Qed.

Lemma subadditive_times v m q : subadditive v -> v (m * q) <= m * v q.
Proof.
  intros [H0 H]. induction m as [|m IH]; simpl; [lia|]. specialize (H q (m * q)). lia.
Qed.

(** Shrinking a width by the factor j, rounded down. *)
Lemma shrink v j n : subadditive v -> 1 <= j -> v n <= j * v (n / j) + (j - 1) * v 1.
Proof.
  intros Hv Hj. pose proof (Nat.div_mod_eq n j) as E.
  pose proof (Nat.mod_upper_bound n j ltac:(lia)) as R.
  pose proof (subadditive_times v j (n / j) Hv).
  pose proof (subadditive_times v (n mod j) 1 Hv) as T. rewrite Nat.mul_1_r in T.
  assert ((n mod j) * v 1 <= (j - 1) * v 1) by (apply Nat.mul_le_mono_r; lia).
  destruct Hv as [_ Hv]. specialize (Hv (j * (n / j)) (n mod j)). rewrite <- E in Hv. lia.
Qed.

Theorem bilinear_lower_bound N1 N2 v1 v2 K j x1 xj opt :
  subadditive v1 -> subadditive v2 -> increasing v1 -> increasing v2 ->
  1 <= K -> 1 <= j ->
  b_optimal N1 N2 v1 v2 K x1 -> within x1 xj ->
  b_OPT N1 N2 v1 v2 (j * K) opt ->
  opt <= j * value v1 v2 xj + (j - 1) * Nat.max (v1 1) (v2 1).
Proof.
  intros S1 S2 I1 I2 HK Hj [_ best] [L1 L2] ([a b] & [(F1 & F2 & F3) _] & <-).
  unfold affordable, within, value in *. cbn [fst snd] in *.
  assert (up : v1 (fst x1) + v2 (snd x1) <= v1 (fst xj) + v2 (snd xj)).
  { apply Nat.add_le_mono; auto. }
  set (V := v1 (fst xj) + v2 (snd xj)) in *. set (mx := Nat.max (v1 1) (v2 1)).
  assert (m1 : (j - 1) * v1 1 <= (j - 1) * mx) by (apply Nat.mul_le_mono_l; unfold mx; lia).
  assert (m2 : (j - 1) * v2 1 <= (j - 1) * mx) by (apply Nat.mul_le_mono_l; unfold mx; lia).
  clearbody mx.
  assert (fit : forall n m, n * m <= j * K -> n / j * m <= K).
  { intros n m H. apply (Nat.mul_le_mono_pos_l (n / j * m) K j); [lia|].
    assert (j * (n / j) * m <= n * m) by (apply Nat.mul_le_mono_r, Nat.mul_div_le; lia). lia. }
  assert (less : forall n, n / j <= n) by (intros n; apply Nat.div_le_upper_bound; nia).
  assert (pos : forall n, j <= n -> 1 <= n / j) by (intros n H; apply Nat.div_le_lower_bound; lia).
  destruct (le_lt_dec j a) as [La|La]; [|destruct (le_lt_dec j b) as [Lb|Lb]].
  - pose proof (shrink v1 j a S1 Hj) as H. pose proof (less a). pose proof (pos a La).
    specialize (best (a / j, b)). cbn [fst snd] in best.
    assert (Q : v1 (a / j) + v2 b <= V).
    { apply Nat.le_trans with (2 := up). apply best. repeat split; try lia. apply fit. lia. }
    assert (j * (v1 (a / j) + v2 b) <= j * V) by (apply Nat.mul_le_mono_l; auto).
    assert (1 * v2 b <= j * v2 b) by (apply Nat.mul_le_mono_r; auto). lia.
  - pose proof (shrink v2 j b S2 Hj) as H. pose proof (less b). pose proof (pos b Lb).
    specialize (best (a, b / j)). cbn [fst snd] in best.
    assert (Q : v1 a + v2 (b / j) <= V).
    { apply Nat.le_trans with (2 := up). apply best. repeat split; try lia.
      rewrite Nat.mul_comm. apply fit. lia. }
    assert (j * (v1 a + v2 (b / j)) <= j * V) by (apply Nat.mul_le_mono_l; auto).
    assert (1 * v1 a <= j * v1 a) by (apply Nat.mul_le_mono_r; auto). lia.
  - specialize (best (1, 1)). cbn [fst snd] in best.
    assert (Q : v1 1 + v2 1 <= V).
    { apply Nat.le_trans with (2 := up). apply best. repeat split; lia. }
    pose proof (subadditive_times v1 a 1 S1) as T1. rewrite Nat.mul_1_r in T1.
    pose proof (subadditive_times v2 b 1 S2) as T2. rewrite Nat.mul_1_r in T2.
    assert (a * v1 1 <= j * v1 1) by (apply Nat.mul_le_mono_r; lia).
    assert (b * v2 1 <= j * v2 1) by (apply Nat.mul_le_mono_r; lia).
    assert (j * (v1 1 + v2 1) <= j * V) by (apply Nat.mul_le_mono_l; auto). lia.
Qed.
