(** * BilinearStages.v -- products of widths, several top-down stages: exactly 1/j

    Over capacities [c 1 <= ... <= c N] with [c N <= j * c i], stage i keeps 1/j of
    OPT(c N), however many stages lie between; that no more is possible is already so
    for two of them (Bilinear.v).  Here units have to be sorted by profit (for two
    stages subadditive prefix profits are enough).

    The idea.  Let (A, B) be the last stage that does not fit K = c i, and (a, b) the
    largest one.  All parts of (A, B) that fit K were there to choose from, and one of
    four is good enough: (K, 1), (1, K), (A, K/A), (K/B, B).                   *)
From Coq Require Import Arith Lia Bool.
Require Import Knapsack Bilinear.

(** Every unit is worth at most the one before. *)
Definition concave (v : nat -> nat) :=
  v 0 = 0 /\ forall i k, i <= k -> v (S k) + v i <= v k + v (S i).

Lemma prefix_profit_concave d : (forall i j, i <= j -> d j <= d i) -> concave (prefix_profit d).
Proof.
  intros H. split; [reflexivity|]. intros i k L. specialize (H i k L).
  unfold prefix_profit. simpl. lia.
Qed.

(** [m], what the A-th unit is worth: less than each one before, more than each one after. *)
Lemma slope v A : concave v -> increasing v -> 1 <= A -> exists m,
  (forall q, q <= A -> q * m <= v q /\ v q + (A - q) * m <= v A) /\
  (forall r, v (A + r) <= v A + r * m).
Proof.
  intros [H0 H] I HA. destruct A as [|A]; [lia|]. pose proof (I A (S A) ltac:(lia)) as up.
  exists (v (S A) - v A). split.
  - assert (G : forall q, q <= S A -> q * (v (S A) - v A) <= v q).
    { induction q as [|q IH]; intros L; [lia|]. specialize (H q A ltac:(lia)). specialize (IH ltac:(lia)).
      cbn [Nat.mul]. lia. }
    assert (F : forall r q, q + r = S A -> v q + r * (v (S A) - v A) <= v (S A)).
    { induction r as [|r IH]; intros q L; [rewrite Nat.add_0_r in L; subst; lia|].
      specialize (IH (S q) ltac:(lia)). specialize (H q A ltac:(lia)). cbn [Nat.mul]. lia. }
    intros q L. split; [apply G; auto|]. apply F. lia.
  - induction r as [|r IH]; [rewrite Nat.add_0_r; lia|].
    rewrite Nat.add_succ_r. specialize (H A (S A + r) ltac:(lia)). cbn [Nat.mul]. lia.
Qed.

(** What both steps from q to A = q + 1 + e and from f to B = f + 1 + g are worth, X and Y, and the
    units beyond A and B that no other unit pays for, [ra] worth m and [rb] worth u each. *)
Lemma two_steps i X Y Z m u e g ra rb :
  (1 + e) * m <= X -> (1 + g) * u <= Y -> X <= Z -> Y <= Z ->
  ra + e <= i \/ ra = 0 -> rb + g <= i \/ rb = 0 -> ra = 0 \/ rb = 0 \/ (1 <= e /\ 1 <= g) ->
  X + ra * m + (Y + rb * u) <= (2 + i) * Z.
Proof.
  intros HX HY LX LY HA HB both.
  assert (T : forall r c t, r <= i -> t <= Z -> c = r * t -> c <= i * Z) by (intros; subst; apply Nat.mul_le_mono; auto).
  assert (t1 : ra * m <= i * Z) by (apply (T ra _ m); lia).
  assert (t2 : rb * u <= i * Z) by (apply (T rb _ u); lia).
  destruct both as [->|[->|[e1 g1]]]; [lia|lia|].
  (* both steps have two units at least: half of i Z each *)
  assert (m2 : 2 * m <= (1 + e) * m) by (apply Nat.mul_le_mono_r; lia).
  assert (u2 : 2 * u <= (1 + g) * u) by (apply Nat.mul_le_mono_r; lia).
  assert (s1 : 2 * (ra * m) <= i * Z) by (apply (T ra _ (2 * m)); lia).
  assert (s2 : 2 * (rb * u) <= i * Z) by (apply (T rb _ (2 * u)); lia). lia.
Qed.

(** Inside any (A, B) that does not fit K, itself inside (a, b) with ab <= jK, there are widths
    that fit K and are worth at least 1/j of (a, b). *)
Lemma part_of_part v1 v2 K j a b A B :
  concave v1 -> concave v2 -> increasing v1 -> increasing v2 -> 1 <= K ->
  1 <= A -> A <= a -> 1 <= B -> B <= b -> a * b <= j * K -> K < A * B ->
  exists y, within (1, 1) y /\ within y (A, B) /\ fst y * snd y <= K /\
    value v1 v2 (a, b) <= j * value v1 v2 y.
Proof.
  intros C1 C2 I1 I2 HK HA La HB Lb H over. unfold within, value. cbn [fst snd].
  assert (L : A * B <= a * b) by (apply Nat.mul_le_mono; auto).
  assert (J : 2 <= j) by (destruct j as [|[|j]]; lia).
  (* the widths scale: n/N of the units are worth at least n/N *)
  assert (mean : forall v n z c, concave v -> increasing v -> 1 <= n -> n <= z -> z <= c * n -> v z <= c * v n).
  { intros v n z c Cv Iv Hn Hz Hc. destruct (slope v n Cv Iv Hn) as (m & low & high).
    assert (exists r, z = n + r) as [r ->] by (exists (z - n); lia).
    destruct (low n (le_n n)) as [l1 _]. specialize (high r).
    assert (exists i, c = S i) as [i ->] by (exists (c - 1); destruct c; lia).
    assert (R : r * m <= i * n * m) by (apply Nat.mul_le_mono_r; lia).
    assert (R' : i * (n * m) <= i * v n) by (apply Nat.mul_le_mono_l; auto). lia. }
  destruct (le_lt_dec A K) as [LA|LA]; [destruct (le_lt_dec B K) as [LB|LB]|].
  - (* q = K/B and f = K/A *)
    pose proof (Nat.div_mod_eq K B) as EB. pose proof (Nat.mod_upper_bound K B ltac:(lia)) as MB.
    pose proof (Nat.div_mod_eq K A) as EA. pose proof (Nat.mod_upper_bound K A ltac:(lia)) as MA.
    set (q := K / B) in *. set (f := K / A) in *.
    assert (q1 : 1 <= q) by (destruct q; lia). assert (f1 : 1 <= f) by (destruct f; lia).
    assert (qB : B * q <= K /\ K + 1 <= B * (q + 1)) by lia.
    assert (fA : A * f <= K /\ K + 1 <= A * (f + 1)) by lia.
    clearbody q f. clear EA EB MA MB.
    assert (qA : q < A).
    { destruct (le_lt_dec A q) as [T|T]; auto. assert (B * A <= B * q) by (apply Nat.mul_le_mono_l; auto). lia. }
    assert (fB : f < B).
    { destruct (le_lt_dec B f) as [T|T]; auto. assert (A * B <= A * f) by (apply Nat.mul_le_mono_l; auto). lia. }
    assert (exists e, A = q + (1 + e)) as [e Ee] by (exists (A - q - 1); lia).
    assert (exists g, B = f + (1 + g)) as [g Eg] by (exists (B - f - 1); lia).
    (* a < j(q+1) and b < j(f+1) *)
    assert (aq : a + 1 <= j * (q + 1)).
    { destruct (le_lt_dec (j * (q + 1)) a) as [T|T]; [exfalso|lia].
      assert (j * (q + 1) * B <= a * b) by (apply Nat.mul_le_mono; auto).
      assert (j * (K + 1) <= j * (B * (q + 1))) by (apply Nat.mul_le_mono_l; lia). lia. }
    assert (bf : b + 1 <= j * (f + 1)).
    { destruct (le_lt_dec (j * (f + 1)) b) as [T|T]; [exfalso|lia].
      assert (j * (f + 1) * A <= b * a) by (apply Nat.mul_le_mono; auto).
      assert (j * (K + 1) <= j * (A * (f + 1))) by (apply Nat.mul_le_mono_l; lia). lia. }
    (* not both a > jq and b > jf where one of A = q + 1, B = f + 1 *)
    assert (cross : K + 1 <= (q + 1) * (f + 1) -> a <= j * q \/ b <= j * f).
    { intros T. destruct (le_lt_dec a (j * q)) as [|Ta]; auto. destruct (le_lt_dec b (j * f)) as [|Tb]; auto. exfalso.
      assert (S1 : (j * q + 1) * (j * f + 1) <= a * b) by (apply Nat.mul_le_mono; lia).
      assert (S2 : j * (K + 1) <= j * ((q + 1) * (f + 1))) by (apply Nat.mul_le_mono_l; auto).
      assert (S3 : 1 * (j * (q * f)) <= j * (j * (q * f))) by (apply Nat.mul_le_mono_r; lia). lia. }
    destruct (slope v1 A C1 I1 HA) as (m & low1 & high1). destruct (slope v2 B C2 I2 HB) as (u & low2 & high2).
    specialize (high1 (a - A)). replace (A + (a - A)) with a in high1 by lia.
    specialize (high2 (b - B)). replace (B + (b - B)) with b in high2 by lia.
    destruct (low1 q ltac:(lia)) as [p1 x1]. destruct (low2 f ltac:(lia)) as [p2 x2].
    replace (A - q) with (1 + e) in x1 by lia. replace (B - f) with (1 + g) in x2 by lia.
    assert (exists X, v1 A = v1 q + X) as [X EX] by (exists (v1 A - v1 q); lia).
    assert (exists Y, v2 B = v2 f + Y) as [Y EY] by (exists (v2 B - v2 f); lia).
    assert (exists i, j = 2 + i) as [i Ei] by (exists (j - 2); lia).
    (* what the larger widths add, beyond (j-1) times the smaller ones *)
    assert (k1 : (a - A) * m <= (a - A - (j - 1) * q) * m + (j - 1) * v1 q).
    { assert ((a - A) * m <= (a - A - (j - 1) * q + (j - 1) * q) * m) by (apply Nat.mul_le_mono_r; lia).
      assert ((j - 1) * (q * m) <= (j - 1) * v1 q) by (apply Nat.mul_le_mono_l; auto). lia. }
    assert (k2 : (b - B) * u <= (b - B - (j - 1) * f) * u + (j - 1) * v2 f).
    { assert ((b - B) * u <= (b - B - (j - 1) * f + (j - 1) * f) * u) by (apply Nat.mul_le_mono_r; lia).
      assert ((j - 1) * (f * u) <= (j - 1) * v2 f) by (apply Nat.mul_le_mono_l; auto). lia. }
    set (ra := a - A - (j - 1) * q) in *. set (rb := b - B - (j - 1) * f) in *.
    assert (ra1 : ra + e <= i \/ ra = 0) by (unfold ra; clear - aq Ei Ee; subst j; lia).
    assert (rb1 : rb + g <= i \/ rb = 0) by (unfold rb; clear - bf Ei Eg; subst j; lia).
    assert (both : ra = 0 \/ rb = 0 \/ (1 <= e /\ 1 <= g)).
    { destruct (Nat.eq_dec ra 0) as [|Za]; auto. destruct (Nat.eq_dec rb 0) as [|Zb]; auto.
      right. right. assert (Ta : j * q < a) by (unfold ra in Za; clear - Za Ei qA; subst j; lia).
      assert (Tb : j * f < b) by (unfold rb in Zb; clear - Zb Ei fB; subst j; lia).
      split.
      - destruct e; [exfalso|lia]. destruct cross; [|lia|lia]. replace (q + 1) with A by lia. lia.
      - destruct g; [exfalso|lia]. destruct cross; [|lia|lia]. replace (f + 1) with B by lia. lia. }
    assert (hX : (1 + e) * m <= X) by (clear - x1 EX; lia).
    assert (hY : (1 + g) * u <= Y) by (clear - x2 EY; lia).
    assert (main : forall Z, X <= Z -> Y <= Z -> X + ra * m + (Y + rb * u) <= (2 + i) * Z)
      by (intros Z HX HY; apply (two_steps i X Y Z m u e g); assumption).
        assert (Ej : j - 1 = 1 + i) by (clear - Ei; lia). rewrite Ej in *. subst j.
    clear low1 low2 p1 p2 x1 x2 cross aq bf both ra1 rb1 mean H over L. clearbody ra rb.
    rewrite EX in *. rewrite EY in *.
    destruct (le_lt_dec X Y) as [V|V].
    + exists (q, B). cbn [fst snd]. split; [lia|split; [lia|split; [lia|]]].
      specialize (main Y V (le_n Y)). lia.
    + exists (A, f). cbn [fst snd]. split; [lia|split; [lia|split; [lia|]]].
      specialize (main X (le_n X) ltac:(lia)). lia.
  - (* B > K: a < j and b <= jK *)
    exists (1, K). cbn [fst snd]. split; [lia|split; [lia|split; [lia|]]].
    assert (b1 : 1 * b <= a * b) by (apply Nat.mul_le_mono_r; lia).
    assert (a1 : a <= j * 1).
    { destruct (le_lt_dec a j) as [|T]; [lia|exfalso].
      assert (S j * S K <= a * b) by (apply Nat.mul_le_mono; lia). lia. }
    pose proof (mean v1 1 a j C1 I1 ltac:(lia) ltac:(lia) a1).
    pose proof (mean v2 K b j C2 I2 HK ltac:(lia) ltac:(lia)). lia.
  - exists (K, 1). cbn [fst snd]. split; [lia|split; [lia|split; [lia|]]].
    assert (a1 : a * 1 <= a * b) by (apply Nat.mul_le_mono_l; lia).
    assert (b1 : b <= j * 1).
    { destruct (le_lt_dec b j) as [|T]; [lia|exfalso].
      assert (S K * S j <= a * b) by (apply Nat.mul_le_mono; lia). lia. }
    pose proof (mean v1 K a j C1 I1 HK ltac:(lia) ltac:(lia)).
    pose proof (mean v2 1 b j C2 I2 ltac:(lia) ltac:(lia) b1). lia.
Qed.

(** Top-down over [c 1 <= ... <= c N]: stage i keeps 1/j of OPT(c N), [c N <= j * c i]. *)
Theorem bilinear_top_down_stages N1 N2 v1 v2 c N (D : nat -> widths) i j opt :
  concave v1 -> concave v2 -> increasing v1 -> increasing v2 ->
  (forall k, 1 <= k -> k < N -> c k <= c (S k)) ->
  b_optimal N1 N2 v1 v2 (c N) (D N) ->
  (forall k, 1 <= k -> k < N -> b_restricts N1 N2 v1 v2 (c k) (D (S k)) (D k)) ->
  1 <= i -> i <= N -> 1 <= c i -> c N <= j * c i -> b_OPT N1 N2 v1 v2 (c N) opt ->
  opt <= j * value v1 v2 (D i).
Proof.
  intros C1 C2 I1 I2 Hc [F best] Hdown Hi HN HK Hj (o & [Fo _] & <-).
  pose proof (best o Fo) as Q. apply Nat.le_trans with (value v1 v2 (D N)); [exact Q|]. clear Q Fo best o.
  set (K := c i) in *.
  assert (ok : forall k, i <= k -> k <= N -> affordable N1 N2 (c k) (D k)).
  { intros k H1 H2. destruct (Nat.eq_dec k N) as [->|]; auto. apply (Hdown k); lia. }
  assert (mono : forall r, i + r <= N -> K <= c (i + r)).
  { induction r as [|r IH]; intros Hr; [rewrite Nat.add_0_r; unfold K; lia|].
    rewrite Nat.add_succ_r. specialize (Hc (i + r) ltac:(lia) ltac:(lia)). specialize (IH ltac:(lia)). lia. }
  assert (inside : forall r, i + r <= N -> within (D (i + r)) (D N)).
  { assert (G : forall s r, i + r + s = N -> within (D (i + r)) (D N)).
    { induction s as [|s IH]; intros r E.
      - rewrite Nat.add_0_r in E. rewrite E. unfold within; lia.
      - specialize (IH (S r) ltac:(lia)). rewrite Nat.add_succ_r in IH.
        pose proof (proj1 (Hdown (i + r) ltac:(lia) ltac:(lia))). unfold within in *. lia. }
    intros r Hr. apply (G (N - i - r)). lia. }
  (* up to the last stage that fits K nothing is lost *)
  assert (G : forall r, i + r <= N -> value v1 v2 (D (i + r)) <= value v1 v2 (D i) \/
    exists s, s < r /\ K < fst (D (i + S s)) * snd (D (i + S s)) /\ value v1 v2 (D (i + s)) <= value v1 v2 (D i)).
  { induction r as [|r IH]; intros Hr; [left; rewrite Nat.add_0_r; lia|].
    destruct IH as [V|(s & s1 & s2 & s3)]; [lia| |right; exists s; auto].
    destruct (le_lt_dec (fst (D (i + S r)) * snd (D (i + S r))) K) as [L|L].
    - left. apply Nat.le_trans with (value v1 v2 (D (i + r))); auto.
      rewrite Nat.add_succ_r in *. destruct (Hdown (i + r) ltac:(lia) ltac:(lia)) as (_ & _ & best).
      apply best; [unfold within; lia|]. destruct (ok (S (i + r)) ltac:(lia) Hr) as (h1 & h2 & _).
      specialize (mono r ltac:(lia)). unfold affordable. split; [auto|split; [auto|lia]].
    - right. exists r. auto. }
  destruct (G (N - i)) as [V|(s & s1 & s2 & s3)]; [lia| |].
  - replace (i + (N - i)) with N in V by lia. destruct j as [|j]; [|lia].
    destruct (ok N ltac:(lia) ltac:(lia)) as ((h1 & h2) & _ & h3). cbn [fst snd] in *.
    assert (1 * 1 <= fst (D N) * snd (D N)) by (apply Nat.mul_le_mono; auto). lia.
  - pose proof (inside (S s) ltac:(lia)) as [L1 L2].
    destruct (ok (i + S s) ltac:(lia) ltac:(lia)) as ((h1 & h2) & (h3 & h4) & _).
    destruct F as (_ & _ & F). rewrite Nat.add_succ_r in *. cbn [fst snd] in *.
    destruct (Hdown (i + s) ltac:(lia) ltac:(lia)) as (_ & _ & best).
    destruct (D N) as [a b]. destruct (D (S (i + s))) as [A B]. cbn [fst snd] in *.
    destruct (part_of_part v1 v2 K j a b A B) as (y & y1 & y2 & y3 & y4); auto; [lia|].
    apply Nat.le_trans with (j * value v1 v2 y); auto. apply Nat.mul_le_mono_l.
    apply Nat.le_trans with (value v1 v2 (D (i + s))); auto. apply best; [exact y2|].
    specialize (mono s ltac:(lia)). unfold affordable, within in *. cbn [fst snd] in *. lia.
Qed.
