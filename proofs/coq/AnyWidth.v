(** * AnyWidth.v -- one way from the narrowest widths to the full ones, cost a*b

    With costs that are products of widths no constant survives.  Over the capacities
    from K to m^2 K an order that widens one layer alone keeps 1/(m+1) of every
    optimum ([one_layer_first]), and no order, not even a nested pair at the two ends,
    keeps more than 1/m ([no_nested_pair], [no_nested_pair_sharp]).             *)
From Coq Require Import Arith Lia Bool.
Require Import Knapsack Bilinear.

(** Widen layer 1 unit by unit until it is full, then layer 2. *)
Definition walk (N1 k : nat) : widths := if k <? N1 then (S k, 1) else (N1, k - N1 + 2).

(** The longest part of the way that fits ends after [k] steps. *)
Definition walked (N1 N2 c k : nat) :=
  affordable N1 N2 c (walk N1 k) /\
  (walk N1 k = (N1, N2) \/ c < fst (walk N1 (S k)) * snd (walk N1 (S k))).

(** Where layer 1 is worth at least as much as layer 2 at the capacity m K in the
    middle, widening it first keeps 1/(m+1) of the optimum at every c in [K, m^2 K].
    If layer 2 is worth more, exchange the two. *)
Theorem one_layer_first N1 N2 v1 v2 K m c k opt :
  subadditive v1 -> subadditive v2 -> increasing v1 -> increasing v2 ->
  1 <= K -> 1 <= m ->
  v2 (Nat.min (m * K) N2) <= v1 (Nat.min (m * K) N1) ->
  K <= c -> c <= m * (m * K) ->
  walked N1 N2 c k -> b_OPT N1 N2 v1 v2 c opt ->
  opt <= (m + 1) * value v1 v2 (walk N1 k).
Proof.
  intros S1 S2 I1 I2 HK Hm better Lc Uc [(A1 & A2 & A3) next] ([a b] & [(B1 & B2 & B3) _] & <-).
  unfold within, value in *. cbn [fst snd] in *.
  assert (Q : m <= m * K) by (assert (m * 1 <= m * K) by (apply Nat.mul_le_mono_l; auto); lia).
  assert (wide : Nat.min c N1 <= fst (walk N1 k)).
  { unfold walk in *. destruct (Nat.ltb_spec k N1) as [L|L]; cbn [fst snd] in *; [|lia].
    destruct (Nat.eq_dec (S k) N1) as [E|E]; [lia|].
    destruct (Nat.ltb_spec (S k) N1) as [L'|L']; [|lia]. cbn [fst snd] in next.
    destruct next as [F|F]; [injection F; lia|]. lia. }
  assert (ab : a <= c /\ b <= c).
  { assert (a * 1 <= a * b) by (apply Nat.mul_le_mono_l; lia).
    assert (1 * b <= a * b) by (apply Nat.mul_le_mono_r; lia). lia. }
  assert (V1 : v1 (Nat.min c N1) <= v1 (fst (walk N1 k))) by (apply I1; exact wide).
  assert (Va : v1 a <= v1 (Nat.min c N1)) by (apply I1; lia).
  assert (Vb : v2 b <= v2 (Nat.min c N2)) by (apply I2; lia).
  assert (N : forall x y z, x <= z -> y <= m * z -> x + y <= (m + 1) * z) by (intros; lia).
  assert (Z : v2 (Nat.min c N2) <= m * v1 (Nat.min c N1)).
  { destruct (le_lt_dec c (m * K)) as [L|L].
    - assert (G : Nat.min (m * K) N1 <= m * Nat.min c N1).
      { assert (m * K <= m * c) by (apply Nat.mul_le_mono_l; auto).
        assert (1 * N1 <= m * N1) by (apply Nat.mul_le_mono_r; auto).
        destruct (Nat.min_spec c N1) as [[_ ->]|[_ ->]]; lia. }
      eapply Nat.le_trans; [apply I2|eapply Nat.le_trans; [exact better|]]; [lia|].
      eapply Nat.le_trans; [apply I1; exact G|apply subadditive_times; exact S1].
    - assert (G : Nat.min c N2 <= m * Nat.min (m * K) N2).
      { assert (1 * N2 <= m * N2) by (apply Nat.mul_le_mono_r; auto).
        destruct (Nat.min_spec (m * K) N2) as [[_ ->]|[_ ->]]; lia. }
      eapply Nat.le_trans; [apply I2; exact G|].
      eapply Nat.le_trans; [apply subadditive_times; exact S2|]. apply Nat.mul_le_mono_l.
      eapply Nat.le_trans; [exact better|apply I1; lia]. }
  assert (m * v1 (Nat.min c N1) <= m * v1 (fst (walk N1 k))) by (apply Nat.mul_le_mono_l; auto).
  lia.
Qed.

(** That is all this order keeps.  Layer 1: a first unit worth mK, the others nothing;
    layer 2: m^2 K units worth 1 each. *)
Theorem one_layer_first_tight K m : 1 <= K -> 2 <= m ->
  let N := m * (m * K) in let v1 := fun a => if a =? 0 then 0 else m * K in let v2 := linear 1 in
  subadditive v1 /\ subadditive v2 /\ increasing v1 /\ increasing v2 /\
  v2 (Nat.min (m * K) N) <= v1 (Nat.min (m * K) N) /\
  walked N N N (N - 1) /\ value v1 v2 (walk N (N - 1)) = m * K + 1 /\
  b_OPT N N v1 v2 N ((m + 1) * (m * K)).
Proof.
  intros HK Hm. cbv zeta. set (N := m * (m * K)).
  assert (Q : m <= m * K) by (assert (m * 1 <= m * K) by (apply Nat.mul_le_mono_l; auto); lia).
  assert (QN : 2 * (m * K) <= N) by (unfold N; apply Nat.mul_le_mono_r; auto).
  assert (W : walk N (N - 1) = (N, 1)).
  { unfold walk. destruct (Nat.ltb_spec (N - 1) N); [f_equal; lia|lia]. }
  split. { split; [reflexivity|]. intros a b. destruct a, b; cbn [Nat.eqb Nat.add]; lia. }
  split. { apply linear_subadditive. }
  split. { intros a b H. destruct (Nat.eqb_spec a 0), (Nat.eqb_spec b 0); lia. }
  split. { intros a b H. unfold linear. lia. }
  split. { rewrite Nat.min_l by lia. unfold linear. destruct (Nat.eqb_spec (m * K) 0); lia. }
  split.
  { unfold walked, affordable, within. rewrite W. cbn [fst snd]. split; [lia|right].
    unfold walk. replace (S (N - 1)) with N by lia. destruct (Nat.ltb_spec N N); [lia|].
    cbn [fst snd]. lia. }
  rewrite W. unfold value, linear. cbn [fst snd].
  split. { destruct (Nat.eqb_spec N 0); lia. }
  exists (1, N). unfold b_optimal, affordable, within, value. cbn [fst snd Nat.eqb].
  split; [split; [lia|]|unfold N; lia].
  intros [a b]. cbn [fst snd]. intros H. destruct (Nat.eqb_spec a 0); lia.
Qed.

(** No nested pair of widths at K and m^2 K keeps much more than 1/m of both optima.
    Layer 1 has K units worth m, layer 2 has m^2 K units worth 1. *)
Theorem no_nested_pair K m q x1 x2 o1 o2 :
  1 <= m -> 1 <= q -> 2 * (m * m) * q <= K ->
  let N2 := m * m * K in let v1 := linear m in let v2 := linear 1 in
  affordable K N2 K x1 -> affordable K N2 N2 x2 -> within x1 x2 ->
  b_OPT K N2 v1 v2 K o1 -> b_OPT K N2 v1 v2 N2 o2 ->
  q * (m * value v1 v2 x1) <= (q + 1) * o1 \/ q * (m * value v1 v2 x2) <= (q + 1) * o2.
Proof.
  intros Hm Hq HK. cbv zeta. destruct x1 as [a b], x2 as [a' b'].
  intros (A1 & A2 & A3) (B1 & B2 & B3) [C1 C2] (y1 & [F1 G1] & <-) (y2 & [F2 G2] & <-).
  unfold affordable, within, value, linear in *. cbn [fst snd] in *.
  assert (mm : 1 <= m * m) by (assert (1 * 1 <= m * m) by (apply Nat.mul_le_mono; auto); lia).
  assert (K1 : 2 * (m * m) <= K).
  { assert (2 * (m * m) * 1 <= 2 * (m * m) * q) by (apply Nat.mul_le_mono_l; auto). lia. }
  assert (K2 : K <= m * m * K).
  { assert (1 * K <= m * m * K) by (apply Nat.mul_le_mono_r; auto). lia. }
  specialize (G1 (K, 1)). specialize (G2 (1, m * m * K)). cbn [fst snd] in *.
  assert (O1 : m * K <= m * fst y1 + 1 * snd y1) by lia.
  assert (O2 : m * m * K <= m * fst y2 + 1 * snd y2) by lia.
  set (o1 := m * fst y1 + 1 * snd y1) in *. set (o2 := m * fst y2 + 1 * snd y2) in *.
  rewrite !Nat.mul_1_l in *.
  destruct (le_lt_dec (q * (m * a + b)) ((q + 1) * K)) as [L|L].
  { left. assert (m * (q * (m * a + b)) <= m * ((q + 1) * K)) by (apply Nat.mul_le_mono_l; auto).
    assert ((q + 1) * (m * K) <= (q + 1) * o1) by (apply Nat.mul_le_mono_l; auto). lia. }
  right.
  assert (mq : m * q <= m * m * q).
  { apply Nat.mul_le_mono_r. assert (m * 1 <= m * m) by (apply Nat.mul_le_mono_l; auto). lia. }
  assert (half : K <= 2 * (m * a)).
  { destruct (Nat.eq_dec a 1) as [->|Na].
    - assert (q * b <= q * K) by (apply Nat.mul_le_mono_l; lia). lia.
    - assert (2 * b <= a * b) by (apply Nat.mul_le_mono_r; lia).
      assert (q * (2 * b) <= q * K) by (apply Nat.mul_le_mono_l; lia).
      apply (Nat.mul_le_mono_pos_l K (2 * (m * a)) q); lia. }
  assert (few : b' <= 2 * (m * m * m)).
  { apply (Nat.mul_le_mono_pos_l b' (2 * (m * m * m)) a'); [lia|].
    assert (m * m * K <= m * m * (2 * (m * a))) by (apply Nat.mul_le_mono_l; auto).
    assert (m * m * (2 * (m * a)) <= m * m * (2 * (m * a'))) by
      (apply Nat.mul_le_mono_l, Nat.mul_le_mono_l, Nat.mul_le_mono_l; lia). lia. }
  assert (V : m * a' + b' <= m * K + 2 * (m * m * m)).
  { assert (m * a' <= m * K) by (apply Nat.mul_le_mono_l; lia). lia. }
  assert (E1 : q * (m * (m * a' + b')) <= q * (m * (m * K + 2 * (m * m * m)))).
  { apply Nat.mul_le_mono_l, Nat.mul_le_mono_l. exact V. }
  assert (E2 : m * m * (2 * (m * m) * q) <= m * m * K) by (apply Nat.mul_le_mono_l; auto).
  assert (E3 : (q + 1) * (m * m * K) <= (q + 1) * o2) by (apply Nat.mul_le_mono_l; auto). lia.
Qed.

(** Hence no fraction g/h above 1/m is kept at both ends, by any order. *)
Corollary no_nested_pair_sharp m g h : 1 <= m -> h < m * g ->
  exists N1 N2 v1 v2 K, 1 <= K /\
    forall x1 x2 o1 o2, affordable N1 N2 K x1 -> affordable N1 N2 (m * m * K) x2 -> within x1 x2 ->
    b_OPT N1 N2 v1 v2 K o1 -> b_OPT N1 N2 v1 v2 (m * m * K) o2 ->
    h * value v1 v2 x1 < g * o1 \/ h * value v1 v2 x2 < g * o2.
Proof.
  intros Hm H. set (q := h + 1). set (K := 2 * (m * m) * q).
  assert (mm : 1 <= m * m) by (assert (1 * 1 <= m * m) by (apply Nat.mul_le_mono; auto); lia).
  exists K, (m * m * K), (linear m), (linear 1), K.
  assert (HK : 1 <= K).
  { unfold K. assert (2 * 1 * 1 <= 2 * (m * m) * q) by (apply Nat.mul_le_mono; unfold q; lia). lia. }
  split; [exact HK|]. intros x1 x2 o1 o2 A B C D E.
  assert (finish : forall x o, 1 <= o -> q * (m * x) <= (q + 1) * o -> h * x < g * o).
  { intros x o Ho L. apply (Nat.mul_lt_mono_pos_l (q * m)); [unfold q; nia|].
    assert (h * (q * (m * x)) <= h * ((q + 1) * o)) by (apply Nat.mul_le_mono_l; auto).
    assert (G : (h + 1) * (q * o) <= m * g * (q * o)) by (apply Nat.mul_le_mono_r; lia).
    unfold q in *. lia. }
  assert (pos : forall c o, K <= c -> b_OPT K (m * m * K) (linear m) (linear 1) c o -> 1 <= o).
  { intros c o Lc (y & [F G] & <-). assert (K <= m * m * K).
    { assert (1 * K <= m * m * K) by (apply Nat.mul_le_mono_r; auto). lia. }
    specialize (G (1, 1)). unfold affordable, within, value, linear in *. cbn [fst snd] in *. lia. }
  destruct (no_nested_pair K m q x1 x2 o1 o2) as [Q|Q]; auto; try (unfold q; lia).
  - left. apply finish; [apply (pos K); auto|exact Q].
  - right. apply finish; [|exact Q]. apply (pos (m * m * K)); auto.
    assert (1 * K <= m * m * K) by (apply Nat.mul_le_mono_r; auto). lia.
Qed.
