(** * Price.v -- the price of nesting: what no nested pair can exceed

    T7 holds against every nested pair, not only against bottom-up and top-down.  For
    products of widths over K and jK the price is 2(j+1)/(3j+1) in total and 1/sqrt j
    in the worse stage; the better of bottom-up and top-down reaches both.     *)
From Coq Require Import Arith Lia Bool.
Require Import Knapsack Tight Bilinear.

(** ** T7: for every fraction above rho_k there is an instance on which every nested pair
    is below it in one of its stages. *)
Theorem min_ratio_price k r s :
  1 <= k -> r <= s -> k * (r * s) + s * s < (k + 1) * (r * r) + r * s ->
  exists n w p c1 c2 opt1 opt2,
    k * c1 <= c2 /\ c2 < (k + 1) * c1 /\ all_fit n w c1 /\
    is_OPT n w p c1 opt1 /\ is_OPT n w p c2 opt2 /\
    forall X Y, sub n X Y -> feasible n w c1 X -> feasible n w c2 Y ->
      s * P n p X < r * opt1 \/ s * P n p Y < r * opt2.
Proof.
  intros Hk Hrs root.
  assert (exists e, s = r + e) as [e ->] by (exists (s - r); lia).
  assert (er : e < r).
  { destruct (le_lt_dec r e) as [L|]; auto. exfalso.
    assert (exists z, e = r + z) as [z ->] by (exists (e - r); lia).
    assert (k * (r * (r + (r + z))) = 2 * (k * (r * r)) + k * (r * z)) by lia.
    assert (1 * (r * r) <= k * (r * r)) by (apply Nat.mul_le_mono_r; auto).
    assert (0 <= k * (r * z)) by lia. assert (0 <= z * z) by lia. assert (0 <= r * z) by lia.
    lia. }
  set (g := r + e + 1). set (m := r * g). set (t := e * g + 1).
  assert (gap : g <= ((k + 1) * (r * r) + r * (r + e) - k * (r * (r + e)) - (r + e) * (r + e)) * g).
  { rewrite <- (Nat.mul_1_l g) at 1. apply Nat.mul_le_mono_r. lia. }
  assert (tm : t <= m).
  { unfold t, m. assert ((e + 1) * g <= r * g) by (apply Nat.mul_le_mono_r; lia). unfold g in *. lia. }
  exists (1 + (k + 1)), (two 1 1 (k + 1)), (two 1 t m), (k + 2), ((k + 1) * (k + 1)),
    (t * 1 + m * 1), (t * 0 + m * (k + 1)).
  assert (one_item : forall b, (k + 1) * b <= k + 2 -> b <= 1).
  { intros b H. apply (at_most_one (k + 1) b (k + 2)); lia. }
  split; [lia|]. split; [lia|]. split; [apply all_fit_two; lia|]. split; [|split].
  - apply OPT_two with (a := 1) (b := 1); auto; try lia.
    intros a b Ha Hb Hw. assert (b <= 1) by (apply one_item; lia).
    apply Nat.add_le_mono; apply Nat.mul_le_mono_l; lia.
  - apply OPT_two with (a := 0) (b := k + 1); auto; try lia.
    intros a b Ha Hb Hw. destruct (Nat.eq_dec a 0) as [->|Na].
    + assert (m * b <= m * (k + 1)) by (apply Nat.mul_le_mono_l; auto). lia.
    + assert (b <= k) by (apply (at_most k (k + 1) b ((k + 1) * (k + 1) - 1)); lia).
      assert (a = 1) by lia. subst a.
      assert (m * b <= m * k) by (apply Nat.mul_le_mono_l; auto). lia.
  - intros X Y HS HX HY. unfold feasible in *. rewrite W_two in HX, HY. rewrite !P_two.
    pose proof (lc_sub 1 (k + 1) X Y HS) as LL. pose proof (rc_sub 1 (k + 1) X Y HS) as RR.
    pose proof (lc_le 1 Y) as LY. pose proof (rc_le 1 (k + 1) Y) as RY.
    set (a := left_count 1 X) in *. set (b := right_count 1 (k + 1) X) in *.
    set (a' := left_count 1 Y) in *. set (b' := right_count 1 (k + 1) Y) in *.
    clearbody a b a' b'.
    assert (b1 : b <= 1) by (apply one_item; lia).
    destruct (Nat.eq_dec a' 0) as [Ea|Na]; [left|right].
    + assert (a = 0) by lia. subst a.
      assert (E1 : m * b <= m * 1) by (apply Nat.mul_le_mono_l; auto).
      assert (E2 : (r + e) * (t * 0 + m * b) <= (r + e) * m) by (apply Nat.mul_le_mono_l; lia).
      assert (E3 : (r + e) * m < r * (t * 1 + m * 1)).
      { unfold t, m. assert (E : (r + e) * (r * g) = r * (e * g) + r * (r * g)) by lia. lia. }
      lia.
    + assert (a' = 1) by lia. subst a'.
      assert (bk : b' <= k) by (apply (at_most k (k + 1) b' ((k + 1) * (k + 1) - 1)); lia).
      assert (E1 : m * b' <= m * k) by (apply Nat.mul_le_mono_l; auto).
      assert (E2 : (r + e) * (t * 1 + m * b') <= (r + e) * (t * 1 + m * k)) by (apply Nat.mul_le_mono_l; lia).
      assert (E3 : (r + e) * (t * 1 + m * k) < r * (t * 0 + m * (k + 1))).
      { set (Q := (k + 1) * (r * r) + r * (r + e) - k * (r * (r + e)) - (r + e) * (r + e)) in *.
        assert (EQ : (k + 1) * (r * r) + r * (r + e) = k * (r * (r + e)) + (r + e) * (r + e) + Q)
          by (unfold Q; lia).
        clearbody Q.
        assert (EG : ((k + 1) * (r * r) + r * (r + e)) * g
                     = (k * (r * (r + e)) + (r + e) * (r + e) + Q) * g) by (rewrite EQ; reflexivity).
        unfold t, m. unfold g in gap at 1. lia. }
      lia.
Qed.

(** So T7 is tight: there bottom-up and top-down are both below it. *)
Corollary min_ratio_sharp k r s :
  1 <= k -> r <= s -> k * (r * s) + s * s < (k + 1) * (r * r) + r * s ->
  exists n w p c1 c2 A1 A2 D1 D2 opt1 opt2,
    k * c1 <= c2 /\ c2 < (k + 1) * c1 /\ all_fit n w c1 /\
    bottom_up_pair n w p c1 c2 A1 A2 /\ top_down_pair n w p c1 c2 D1 D2 /\
    is_OPT n w p c1 opt1 /\ is_OPT n w p c2 opt2 /\
    s * P n p D1 < r * opt1 /\ s * P n p A2 < r * opt2.
Proof.
  intros Hk Hrs root.
  destruct (min_ratio_price k r s Hk Hrs root) as (n & w & p & c1 & c2 & v1 & v2 & K1 & K2 & F & O1 & O2 & H).
  assert (C : c1 <= c2). { assert (1 * c1 <= k * c1) by (apply Nat.mul_le_mono_r; auto). lia. }
  destruct (bottom_up_pair_exists n w p c1 c2 C) as (A1 & A2 & HA).
  destruct (top_down_pair_exists n w p c1 c2) as (D1 & D2 & HD).
  exists n, w, p, c1, c2, A1, A2, D1, D2, v1, v2.
  assert (no : forall c v X, is_OPT n w p c v -> optimal n w p c X -> s * P n p X < r * v -> False).
  { intros c v X (O & [FO _] & <-) [_ best] L. pose proof (best O FO).
    assert (r * P n p O <= s * P n p X) by (apply Nat.mul_le_mono; auto). lia. }
  pose proof HA as [opA [subA [feasA _]]]. pose proof HD as [opD [subD [feasD _]]].
  destruct (H A1 A2 subA (proj1 opA) feasA) as [L|LA]; [exfalso; exact (no c1 v1 A1 O1 opA L)|].
  destruct (H D1 D2 subD feasD (proj1 opD)) as [LD|L]; [|exfalso; exact (no c2 v2 D2 O2 opD L)].
  repeat (split; [auto|]). exact LA.
Qed.

(** ** Products of widths: what the better of the two orders keeps

    Over K and any c <= jK, of the sum of both optima. *)
Theorem bilinear_price_total N1 N2 v1 v2 K j c x1 x2 y1 y2 opt1 opt2 :
  subadditive v1 -> subadditive v2 -> increasing v1 -> increasing v2 -> 1 <= K -> 1 <= j -> c <= j * K ->
  b_optimal N1 N2 v1 v2 K x1 -> b_extends N1 N2 v1 v2 c x1 x2 ->
  b_optimal N1 N2 v1 v2 c y2 -> b_restricts N1 N2 v1 v2 K y2 y1 ->
  b_OPT N1 N2 v1 v2 K opt1 -> b_OPT N1 N2 v1 v2 c opt2 ->
  2 * (j + 1) * (opt1 + opt2) <=
  (3 * j + 1) * Nat.max (value v1 v2 x1 + value v1 v2 x2) (value v1 v2 y1 + value v1 v2 y2).
Proof.
  intros S1 S2 I1 I2 HK Hj Hc [HX bestX] [[L1 L2] _] HY Hr (o1 & [F1 _] & <-) O2.
  pose proof (bilinear_top_down_lower_bound N1 N2 v1 v2 K j c y1 y2 opt2 S1 S2 I1 I2 HK Hj Hc HY Hr O2) as T.
  destruct O2 as (o2 & [F2 _] & <-). pose proof (proj2 HY o2 F2) as Q2. pose proof (bestX o1 F1) as Q1.
  assert (up : value v1 v2 x1 <= value v1 v2 x2) by (unfold value; apply Nat.add_le_mono; auto).
  set (M := Nat.max _ _).
  assert (m1 : value v1 v2 x1 + value v1 v2 x2 <= M) by (unfold M; lia).
  assert (m2 : value v1 v2 y1 + value v1 v2 y2 <= M) by (unfold M; lia).
  clearbody M.
  assert (a1 : 2 * value v1 v2 o1 <= M) by lia.
  assert (a2 : (j + 1) * value v1 v2 o2 <= j * M).
  { assert (j * (value v1 v2 y1 + value v1 v2 y2) <= j * M) by (apply Nat.mul_le_mono_l; auto).
    assert (j * value v1 v2 o2 <= j * value v1 v2 y2) by (apply Nat.mul_le_mono_l; auto). lia. }
  assert ((j + 1) * (2 * value v1 v2 o1) <= (j + 1) * M) by (apply Nat.mul_le_mono_l; auto). lia.
Qed.

(** In the worse of its two stages one of the two orders keeps r/s of the optimum, for every fraction r/s <= 1/sqrt j. *)
Theorem bilinear_price_min_ratio N1 N2 v1 v2 K j c r s x1 x2 y1 y2 opt1 opt2 :
  subadditive v1 -> subadditive v2 -> increasing v1 -> increasing v2 -> 1 <= K -> 1 <= j -> c <= j * K ->
  b_optimal N1 N2 v1 v2 K x1 -> b_extends N1 N2 v1 v2 c x1 x2 ->
  b_optimal N1 N2 v1 v2 c y2 -> b_restricts N1 N2 v1 v2 K y2 y1 ->
  b_OPT N1 N2 v1 v2 K opt1 -> b_OPT N1 N2 v1 v2 c opt2 ->
  j * (r * r) <= s * s ->
  r * opt1 <= s * value v1 v2 y1 \/ r * opt2 <= s * value v1 v2 x2.
Proof.
  intros S1 S2 I1 I2 HK Hj Hc [HX bestX] [[L1 L2] _] HY Hr (o1 & [F1 _] & <-) O2 root.
  pose proof (bilinear_top_down_lower_bound N1 N2 v1 v2 K j c y1 y2 opt2 S1 S2 I1 I2 HK Hj Hc HY Hr O2) as T.
  pose proof (bestX o1 F1) as Q1.
  assert (up : value v1 v2 x1 <= value v1 v2 x2) by (unfold value; apply Nat.add_le_mono; auto).
  destruct (le_lt_dec (r * value v1 v2 o1) (s * value v1 v2 y1)) as [|L]; [auto|right].
  destruct (le_lt_dec (r * opt2) (s * value v1 v2 x2)) as [|M]; [auto|exfalso].
  set (x := value v1 v2 o1) in *. set (A := value v1 v2 x2) in *. set (d := value v1 v2 y1) in *.
  assert (xA : x <= A) by lia. clearbody x A d.
  assert (e1 : s * opt2 <= s * (j * d)) by (apply Nat.mul_le_mono_l; auto).
  assert (e2 : j * (s * d) <= j * (r * x)) by (apply Nat.mul_le_mono_l; lia).
  assert (e3 : r * x <= r * A) by (apply Nat.mul_le_mono_l; auto).
  assert (e4 : s * opt2 <= j * (r * A)).
  { apply Nat.le_trans with (j * (r * x)); [lia|apply Nat.mul_le_mono_l; auto]. }
  assert (e5 : s * (s * opt2) <= s * (j * (r * A))) by (apply Nat.mul_le_mono_l; auto).
  assert (rj : 0 < j * r) by (destruct r; [lia|apply Nat.mul_pos_pos; lia]).
  assert (e6 : j * r * (s * A) < j * r * (r * opt2)) by (apply Nat.mul_lt_mono_pos_l; auto).
  assert (e7 : j * (r * r) * opt2 <= s * s * opt2) by (apply Nat.mul_le_mono_r; auto).
  lia.
Qed.

(** ** Products of widths: what no nested pair exceeds

    Layer 1 has K units worth p, layer 2 has jK units worth q; capacities K and jK.
    Everything rests on one fact: where the cost is constant, a linear profit is
    convex in the first width, so it is largest at an end.                     *)
Lemma convex p q a x y X Y : 1 <= a -> a <= x -> x <= X -> x * y <= X * Y ->
  a * (p * x + q * y) <= p * (a * a) + q * (X * Y) \/ p * x + q * y <= p * X + q * Y.
Proof.
  intros Ha Hx HX H. destruct (le_lt_dec (q * Y) (p * x)) as [L|L].
  - right. destruct (le_lt_dec y Y) as [|Ly].
    + apply Nat.add_le_mono; apply Nat.mul_le_mono_l; auto.
    + assert (exists z, y = Y + z) as [z ->] by (exists (y - Y); lia).
      assert (exists e, X = x + e) as [e ->] by (exists (X - x); lia).
      assert (E1 : q * (x * z) <= q * (e * Y)) by (apply Nat.mul_le_mono_l; lia).
      assert (E2 : e * (q * Y) <= e * (p * x)) by (apply Nat.mul_le_mono_l; auto).
      assert (q * z <= p * e) by (apply (Nat.mul_le_mono_pos_l _ _ x); lia). lia.
  - left. assert (exists d, x = a + d) as [d E] by (exists (x - a); lia).
    set (C := X * Y) in *.
    assert (E1 : a * (p * x) <= q * C).
    { assert (a * (p * x) <= X * (q * Y)) by (apply Nat.mul_le_mono; lia).
      unfold C. replace (q * (X * Y)) with (X * (q * Y)) by lia. auto. }
    assert (E2 : d * (a * (p * x)) <= d * (q * C)) by (apply Nat.mul_le_mono_l; auto).
    assert (E3 : a * q * (x * y) <= a * q * C) by (apply Nat.mul_le_mono_l; auto).
    assert (a * p * d + a * q * y <= q * C).
    { apply (Nat.mul_le_mono_pos_l _ _ x); [lia|].
      assert (E4 : x * (q * C) = a * q * C + d * (q * C)) by (rewrite E; lia).
      assert (E5 : x * (a * p * d + a * q * y) = d * (a * (p * x)) + a * q * (x * y)) by lia.
      rewrite E4, E5. lia. }
    rewrite E at 1. lia.
Qed.

(** The optima of the family, if (1-q/p) and (1-p/jq) are not negative. *)
Lemma bilinear_price_optima p q K j : 1 <= K -> 1 <= j -> q <= p -> p <= j * q ->
  b_OPT K (j * K) (linear p) (linear q) K (p * K + q) /\
  b_OPT K (j * K) (linear p) (linear q) (j * K) (p + q * (j * K)).
Proof.
  intros HK Hj H1 H2.
  assert (jK : 1 * K <= j * K) by (apply Nat.mul_le_mono_r; auto).
  assert (exists l, K = S l) as [l E] by (exists (K - 1); lia).
  assert (G1 : q * l <= p * l) by (apply Nat.mul_le_mono_r; auto).
  assert (G2 : p * l <= j * q * l) by (apply Nat.mul_le_mono_r; auto).
  unfold b_OPT, b_optimal, affordable, within, value, linear. split.
  - exists (K, 1). cbn [fst snd]. split; [split; [lia|]|lia].
    intros [a b]. cbn [fst snd]. intros (A1 & A2 & A3).
    destruct (ends p q K 1 a b) as [F|F]; subst K; lia.
  - exists (1, j * K). cbn [fst snd]. split; [split; [lia|]|lia].
    intros [a b]. cbn [fst snd]. intros (A1 & A2 & A3).
    destruct (ends p q K j a b) as [F|F]; subst K; lia.
Qed.

(** In total: with p = j + 1 and q = 2 the optima are (j+1)K + 2 and 2jK + j + 1, and the
    best of all nested pairs reaches exactly 2(j+1)(K+1). *)
Theorem bilinear_price_family K j : 1 <= K -> 1 <= j ->
  let v1 := linear (j + 1) in let v2 := linear 2 in
  b_OPT K (j * K) v1 v2 K ((j + 1) * K + 2) /\
  b_OPT K (j * K) v1 v2 (j * K) (2 * j * K + j + 1) /\
  (forall x y, within x y -> affordable K (j * K) K x -> affordable K (j * K) (j * K) y ->
    value v1 v2 x + value v1 v2 y <= 2 * (j + 1) * (K + 1)) /\
  exists x y, within x y /\ affordable K (j * K) K x /\ affordable K (j * K) (j * K) y /\
    value v1 v2 x + value v1 v2 y = 2 * (j + 1) * (K + 1).
Proof.
  intros HK Hj. cbv zeta.
  assert (jK : 1 * K <= j * K) by (apply Nat.mul_le_mono_r; auto).
  destruct (bilinear_price_optima (j + 1) 2 K j) as [O1 O2]; [lia|lia|lia|lia|].
  split; [exact O1|split; [|split]].
  - replace (2 * j * K + j + 1) with (j + 1 + 2 * (j * K)) by lia. exact O2.
  - intros [a b] [a' b']. unfold within, affordable, within, value, linear. cbn [fst snd].
    intros [L1 L2] (A1 & A2 & A3) (B1 & B2 & B3).
    assert (exists l, K = S l) as [l E] by (exists (K - 1); lia).
    assert (exists i, j = S i) as [i Ej] by (exists (j - 1); lia).
    destruct (convex (j + 1) 2 a a' b' K j) as [F|F]; [lia|lia|lia|lia| |].
    + (* no more than with a' = a, and (a - 1)(K - a) >= 0 *)
      assert (exists u, a = 1 + u) as [u Eu] by (exists (a - 1); lia).
      assert (exists t, K = a + t) as [t Et] by (exists (K - a); lia).
      assert (Q : a * a + K <= a * (K + 1)).
      { assert (0 <= u * t) by lia. rewrite Et, Eu. lia. }
      assert (Q' : 2 * (j + 1) * (a * a + K) <= 2 * (j + 1) * (a * (K + 1)))
        by (apply Nat.mul_le_mono_l; auto).
      apply (Nat.mul_le_mono_pos_l _ _ a); [lia|].
      assert (T : a * ((j + 1) * a + 2 * b) = (j + 1) * (a * a) + 2 * (a * b)) by lia. lia.
    + assert (0 <= i * l) by lia.
      destruct (ends (j + 1) 2 K 1 a b) as [G|G]; [lia|lia|lia| |lia].
      subst K. subst j. lia.
  - exists (1, K), (1, j * K). unfold within, affordable, within, value, linear. cbn [fst snd]. lia.
Qed.

(** Hence no fraction g/h above 2(j+1)/(3j+1) of the sum of the optima is guaranteed by
    any way to choose nested pairs. *)
Corollary bilinear_price_total_sharp j g h : 1 <= j -> 2 * (j + 1) * h < (3 * j + 1) * g ->
  exists N1 N2 v1 v2 K opt1 opt2,
    b_OPT N1 N2 v1 v2 K opt1 /\ b_OPT N1 N2 v1 v2 (j * K) opt2 /\
    forall x y, within x y -> affordable N1 N2 K x -> affordable N1 N2 (j * K) y ->
      h * (value v1 v2 x + value v1 v2 y) < g * (opt1 + opt2).
Proof.
  intros Hj H. set (K := 2 * (j + 1) * h + 1).
  destruct (bilinear_price_family K j) as (O1 & O2 & best & _); [lia|auto|].
  exists K, (j * K), (linear (j + 1)), (linear 2), K, ((j + 1) * K + 2), (2 * j * K + j + 1).
  split; [exact O1|split; [exact O2|]]. intros x y L F1 F2. specialize (best x y L F1 F2).
  apply Nat.le_lt_trans with (h * (2 * (j + 1) * (K + 1))); [apply Nat.mul_le_mono_l; auto|].
  assert (T : (2 * (j + 1) * h + 1) * K <= (3 * j + 1) * g * K) by (apply Nat.mul_le_mono_r; lia).
  assert (E : K = 2 * (j + 1) * h + 1) by reflexivity. clearbody K. lia.
Qed.

(** In the worse stage: for every fraction r/s above 1/sqrt j, s/r < p/q < jr/s, and K large,
    every nested pair is below r/s of the optimum in one of its stages.  At the small capacity if
    its first width is less than some number that does not depend on K, else at the large one. *)
Theorem bilinear_price_min_ratio_sharp j r s : 1 <= j -> r <= s -> s * s < j * (r * r) ->
  exists N1 N2 v1 v2 K opt1 opt2,
    b_OPT N1 N2 v1 v2 K opt1 /\ b_OPT N1 N2 v1 v2 (j * K) opt2 /\
    forall x y, within x y -> affordable N1 N2 K x -> affordable N1 N2 (j * K) y ->
      s * value v1 v2 x < r * opt1 \/ s * value v1 v2 y < r * opt2.
Proof.
  intros Hj Hrs root.
  assert (r0 : 1 <= r) by (destruct r; lia).
  set (p := s + r * j). set (q := r + s).
  assert (e1 : s * q + 1 <= r * p) by (unfold p, q; lia).
  assert (e2 : s * p + 1 <= r * (j * q)) by (unfold p, q; lia).
  assert (pq : q <= p).
  { assert (r * 1 <= r * j) by (apply Nat.mul_le_mono_l; auto). unfold p, q. lia. }
  assert (pj : p <= j * q).
  { assert (1 * s <= j * s) by (apply Nat.mul_le_mono_r; auto). unfold p, q. lia. }
  assert (p0 : 1 <= p) by (unfold p; lia). clearbody p q.
  set (T := s * (q * j) + 1). set (K := s * p * T + s * q * j + 1).
  assert (HK : 1 <= K) by (unfold K; lia).
  assert (jK : 1 * K <= j * K) by (apply Nat.mul_le_mono_r; auto).
  destruct (bilinear_price_optima p q K j HK Hj pq pj) as [O1 O2].
  exists K, (j * K), (linear p), (linear q), K, (p * K + q), (p + q * (j * K)).
  split; [exact O1|split; [exact O2|]].
  intros [a b] [a' b']. unfold within, affordable, within, value, linear. cbn [fst snd].
  intros [L1 L2] (A1 & A2 & A3) (B1 & B2 & B3).
  assert (K1 : (s * q + 1) * K <= r * p * K) by (apply Nat.mul_le_mono_r; lia).
  assert (K2 : (s * p + 1) * K <= r * (j * q) * K) by (apply Nat.mul_le_mono_r; lia).
  destruct (le_lt_dec T a) as [LT|LT]; [right|left].
  - destruct (convex p q a a' b' K j) as [F|F]; [lia|lia|lia|lia| |].
    + apply (Nat.mul_lt_mono_pos_l a); [lia|].
      assert (F' : s * (a * (p * a' + q * b')) <= s * (p * (a * a) + q * (K * j)))
        by (apply Nat.mul_le_mono_l; auto).
      assert (aK : a * a <= a * K) by (apply Nat.mul_le_mono_l; lia).
      assert (F2 : s * p * (a * a) <= s * p * (a * K)) by (apply Nat.mul_le_mono_l; auto).
      assert (F3 : T * K <= a * K) by (apply Nat.mul_le_mono_r; auto).
      assert (F4 : a * ((s * p + 1) * K) <= a * (r * (j * q) * K)) by (apply Nat.mul_le_mono_l; auto).
      unfold T in F3. lia.
    + assert (F' : s * (p * a' + q * b') <= s * (p * K + q * j)) by (apply Nat.mul_le_mono_l; auto).
      unfold K at 2 in K2. unfold K in *. lia.
  - assert (bK : b <= K).
    { assert (1 * b <= a * b) by (apply Nat.mul_le_mono_r; lia). lia. }
    assert (F1 : p * a <= p * T) by (apply Nat.mul_le_mono_l; lia).
    assert (F2 : q * b <= q * K) by (apply Nat.mul_le_mono_l; auto).
    assert (F' : s * (p * a + q * b) <= s * (p * T + q * K)) by (apply Nat.mul_le_mono_l; lia).
    assert (EK : s * p * T + 1 <= K) by (unfold K; lia). clearbody K. lia.
Qed.
