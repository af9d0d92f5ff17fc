(** * Bilinear.v -- the gap: costs that are products of widths

    In a network the cost of two neighbouring layers of widths [a] and [b] is the
    product a*b, not a sum over units.  This file shows what becomes of the
    guarantees then: neither 2/3 nor any other constant survives for bottom-up over
    many capacities; over K and jK exactly 1/j does, bottom-up and top-down.

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

(** ** Top-down over K and jK goes down to 1/j as well.

    Layer 1 has jK units of profit q+1, layer 2 has K units of profit jq.  The best
    widths at jK are (jK, 1), and of them only (K, 1) is left at K.            *)
Theorem bilinear_top_down_family K j q :
  1 <= K -> 2 <= j -> 1 <= q ->
  let v1 := linear (q + 1) in let v2 := linear (j * q) in
  b_optimal (j * K) K v1 v2 (j * K) (j * K, 1) /\
  b_restricts (j * K) K v1 v2 K (j * K, 1) (K, 1) /\
  affordable (j * K) K K (1, K) /\
  value v1 v2 (K, 1) = (q + 1) * K + j * q /\
  value v1 v2 (1, K) = q + 1 + j * q * K.
Proof.
  intros HK Hj Hq. cbv zeta.
  unfold b_optimal, b_restricts, affordable, within, value, linear. cbn [fst snd].
  assert (jK : K <= j * K /\ j * 1 <= j * K).
  { split; [|apply Nat.mul_le_mono_l; auto].
    assert (1 * K <= j * K) by (apply Nat.mul_le_mono_r; lia). lia. }
  split; [split; [lia|]|split; [split; [lia|split; [lia|]]|split; [lia|split; lia]]].
  - intros [a b]. cbn [fst snd]. intros (H1 & H2 & H3).
    destruct (ends (j * q) (q + 1) K j b a) as [E|E]; [lia|lia|lia|lia|].
    assert (exists l, K = S l) as [l ->] by (exists (K - 1); lia).
    assert (0 <= j * l) by lia.
    replace ((q + 1) * (j * S l) + j * q * 1) with (j * q * S l + (q + 1) * j + j * l) by lia. lia.
  - intros [a b]. cbn [fst snd]. intros G (H1 & H2 & H3). assert (b = 1) by lia. subst b.
    assert ((q + 1) * a <= (q + 1) * K) by (apply Nat.mul_le_mono_l; lia). lia.
Qed.

Corollary bilinear_top_down_sharp j g h :
  2 <= j -> h < j * g ->
  exists N1 N2 v1 v2 K x1 x2 y,
    b_optimal N1 N2 v1 v2 (j * K) x2 /\ b_restricts N1 N2 v1 v2 K x2 x1 /\
    affordable N1 N2 K y /\ h * value v1 v2 x1 < g * value v1 v2 y.
Proof.
  intros Hj H. set (z := h * (1 + j) + 1).
  destruct (bilinear_top_down_family z j z) as (h1 & h2 & h3 & h4 & h5); [lia|lia|lia|].
  exists (j * z), z, (linear (z + 1)), (linear (j * z)), z, (z, 1), (j * z, 1), (1, z).
  split; [exact h1|split; [exact h2|split; [exact h3|]]]. rewrite h4, h5.
  assert (G : (h + 1) * (z * z) <= j * g * (z * z)) by (apply Nat.mul_le_mono_r; lia).
  assert (Z : (h * (1 + j) + 1) * z = z * z) by reflexivity. lia.
Qed.

(** ** What still holds: exactly 1/j.  Inside any widths that cost at most jK there are
    widths that cost at most K and are worth at least 1/j of them.

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

(** Three candidates inside (a, b): (K, 1) where a > K, (1, K) where b > K, and the
    better of (a, 1) and (1, b) where neither is.  Nothing is lost by rounding.  *)
Lemma part_of_j v1 v2 K j a b :
  subadditive v1 -> subadditive v2 -> increasing v1 -> increasing v2 ->
  1 <= K -> 1 <= j -> 1 <= a -> 1 <= b -> a * b <= j * K ->
  exists y, within (1, 1) y /\ within y (a, b) /\ fst y * snd y <= K /\
    value v1 v2 (a, b) <= j * value v1 v2 y.
Proof.
  intros S1 S2 I1 I2 HK Hj Ha Hb H. unfold within, value. cbn [fst snd].
  (* if a > K, then b < j and a <= jK: both layers of (K, 1) are worth 1/j *)
  assert (long : forall u v n m, subadditive u -> subadditive v -> increasing u -> increasing v ->
    1 <= m -> n * m <= j * K -> K < n -> u n + v m <= j * (u K + v 1)).
  { intros u v n m Su Sv Iu Iv Hm L G.
    assert (n * 1 <= n * m) by (apply Nat.mul_le_mono_l; auto).
    assert (m <= j).
    { destruct (le_lt_dec m j) as [|T]; auto. exfalso.
      assert (S K * S j <= n * m) by (apply Nat.mul_le_mono; lia). lia. }
    pose proof (Iu n (j * K) ltac:(lia)). pose proof (subadditive_times u j K Su).
    pose proof (Iv m j ltac:(lia)). pose proof (subadditive_times v j 1 Sv) as T.
    rewrite Nat.mul_1_r in T. lia. }
  destruct (Nat.eq_dec j 1) as [->|J]; [exists (a, b); cbn [fst snd]; lia|].
  destruct (le_lt_dec a K) as [La|La]; [destruct (le_lt_dec b K) as [Lb|Lb]|].
  - assert (two : forall x y, x <= y -> x + y <= j * y).
    { intros x y L. assert (2 * y <= j * y) by (apply Nat.mul_le_mono_r; lia). lia. }
    destruct (le_lt_dec (v1 a) (v2 b)) as [V|V].
    + exists (1, b). cbn [fst snd]. pose proof (two _ _ V). lia.
    + exists (a, 1). cbn [fst snd]. pose proof (two (v2 b) (v1 a) ltac:(lia)). lia.
  - exists (1, K). cbn [fst snd].
    pose proof (long v2 v1 b a S2 S1 I2 I1 Ha ltac:(lia) Lb). lia.
  - exists (K, 1). cbn [fst snd].
    pose proof (long v1 v2 a b S1 S2 I1 I2 Hb ltac:(lia) La). lia.
Qed.

(** Bottom-up keeps 1/j of OPT(c), c <= jK, and so does whatever contains its first stage. *)
Theorem bilinear_lower_bound N1 N2 v1 v2 K j c x1 xj opt :
  subadditive v1 -> subadditive v2 -> increasing v1 -> increasing v2 ->
  1 <= K -> 1 <= j -> c <= j * K ->
  b_optimal N1 N2 v1 v2 K x1 -> within x1 xj ->
  b_OPT N1 N2 v1 v2 c opt ->
  opt <= j * value v1 v2 xj.
Proof.
  intros S1 S2 I1 I2 HK Hj Hc [_ best] [L1 L2] ([a b] & [(F1 & F2 & F3) _] & <-).
  destruct F1 as [A1 B1]. cbn [fst snd] in *.
  destruct (part_of_j v1 v2 K j a b) as (y & h1 & h2 & h3 & h4); auto; [lia|].
  assert (Q : value v1 v2 y <= value v1 v2 x1).
  { apply best. unfold affordable, within in *. cbn [fst snd] in *. lia. }
  assert (up : value v1 v2 x1 <= value v1 v2 xj).
  { unfold value. apply Nat.add_le_mono; auto. }
  assert (j * value v1 v2 y <= j * value v1 v2 xj) by (apply Nat.mul_le_mono_l; lia). lia.
Qed.

(** Top-down over K and c <= jK keeps 1/j of OPT(K), and even of OPT(c). *)
Theorem bilinear_top_down_lower_bound N1 N2 v1 v2 K j c x1 x2 opt :
  subadditive v1 -> subadditive v2 -> increasing v1 -> increasing v2 ->
  1 <= K -> 1 <= j -> c <= j * K ->
  b_optimal N1 N2 v1 v2 c x2 -> b_restricts N1 N2 v1 v2 K x2 x1 ->
  b_OPT N1 N2 v1 v2 c opt ->
  opt <= j * value v1 v2 x1.
Proof.
  intros S1 S2 I1 I2 HK Hj Hc [F best] (_ & _ & part) (z & [G _] & <-).
  pose proof (best z G) as Z. destruct x2 as [a b]. destruct F as ((A1 & B1) & F2 & F3).
  cbn [fst snd] in *.
  destruct (part_of_j v1 v2 K j a b) as (y & h1 & h2 & h3 & h4); auto; [lia|].
  assert (Q : value v1 v2 y <= value v1 v2 x1).
  { apply part; [exact h2|]. unfold affordable, within in *. cbn [fst snd] in *. lia. }
  assert (j * value v1 v2 y <= j * value v1 v2 x1) by (apply Nat.mul_le_mono_l; auto). lia.
Qed.
