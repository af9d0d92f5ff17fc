(** * Balance.v -- the best widths under costs that are products of widths are in balance, and nested for all budgets

    Groups 0 .. m-1 of rational widths r i > 0.  The MACs are
      cost r = sum_i r i * (f i + 1/2 * sum_j c i j * r j),    c symmetric, c and f not negative:
    c i j is what a unit of i and a unit of j cost together (2 c i i: a square), f i a unit of i alone.
    [touched r i] is the MACs that group i takes part in.  [worth i] is what one more percent of the
    width of i is worth, the marginal value of the logarithm of the width: A_i e_i R_i^-gamma for CES.   *)
From Coq Require Import QArith Lqa Lia Arith Setoid.
Require Import Seesaw.
Open Scope Q_scope.

Section Network.
  Variable m : nat.
  Variable c : nat -> nat -> Q.
  Variable f : nat -> Q.
  Hypothesis c_pos : forall i j, 0 <= c i j.
  Hypothesis f_pos : forall i, 0 <= f i.

  Definition rate (r : nat -> Q) (i : nat) := f i + sum (fun j => c i j * r j) m.
  Definition touched (r : nat -> Q) (i : nat) := r i * rate r i.
  Definition macs (r : nat -> Q) := sum (fun i => r i * (f i + (1 # 2) * sum (fun j => c i j * r j) m)) m.

  (** The conditions of a best choice between [lo] and [hi] (Karush, Kuhn, Tucker): for one price l of a
      MAC, a group that could grow is not worth more than what it touches, one that could shrink not less. *)
  Definition balanced (l : Q) (worth lo hi r : nat -> Q) := 0 < l /\ forall i, (i < m)%nat ->
    0 < r i /\ lo i <= r i /\ r i <= hi i /\
    (r i < hi i -> worth i <= l * touched r i) /\ (lo i < r i -> l * touched r i <= worth i).

  (** ** Helpers *)
  Lemma sum_le g h k : (forall i, (i < k)%nat -> g i <= h i) -> sum g k <= sum h k.
  Proof. induction k; simpl; intros H; [lra|]. pose proof (H k ltac:(lia)). assert (sum g k <= sum h k) by (apply IHk; auto). lra. Qed.

  Lemma sum_scale x g k : sum (fun i => x * g i) k == x * sum g k.
  Proof. induction k; simpl; [ring|rewrite IHk; ring]. Qed.

  Lemma sum_nonneg g k : (forall i, (i < k)%nat -> 0 <= g i) -> 0 <= sum g k.
  Proof.
    intros H. assert (Z : sum (fun _ => 0) k == 0) by (clear; induction k; simpl; lra).
    rewrite <- Z. apply sum_le. auto.
  Qed.

  Lemma sum_swap (g : nat -> nat -> Q) a b :
    sum (fun i => sum (fun j => g i j) b) a == sum (fun j => sum (fun i => g i j) a) b.
  Proof.
    induction a; simpl.
    - clear. induction b; simpl; lra.
    - rewrite IHa. rewrite sum_add. apply sum_ext. intros; simpl; lra.
  Qed.

  Lemma least g k : (0 < k)%nat -> exists i, (i < k)%nat /\ forall j, (j < k)%nat -> g i <= g j.
  Proof.
    destruct k as [|k]; [lia|]. intros _. induction k as [|k (i & Hi & L)].
    - exists O. split; [lia|]. intros j Hj. replace j with O by lia. lra.
    - destruct (Qlt_le_dec (g (S k)) (g i)).
      + exists (S k). split; [lia|]. intros j Hj. destruct (Nat.eq_dec j (S k)) as [->|]; [lra|].
        pose proof (L j ltac:(lia)). lra.
      + exists i. split; [lia|]. intros j Hj. destruct (Nat.eq_dec j (S k)) as [->|]; [lra|apply L; lia].
  Qed.

  Lemma rate_le x r s i : 1 <= x -> (forall j, (j < m)%nat -> s j <= x * r j) -> rate s i <= x * rate r i.
  Proof.
    intros Hx H. unfold rate.
    assert (sum (fun j => c i j * s j) m <= x * sum (fun j => c i j * r j) m).
    { rewrite <- sum_scale. apply sum_le. intros j Hj. pose proof (H j Hj). pose proof (c_pos i j). nra. }
    pose proof (f_pos i). nra.
  Qed.

  Lemma rate_ge x r s i : x <= 1 -> (forall j, (j < m)%nat -> x * r j <= s j) -> x * rate r i <= rate s i.
  Proof.
    intros Hx H. unfold rate.
    assert (x * sum (fun j => c i j * r j) m <= sum (fun j => c i j * s j) m).
    { rewrite <- sum_scale. apply sum_le. intros j Hj. pose proof (H j Hj). pose proof (c_pos i j). nra. }
    pose proof (f_pos i). nra.
  Qed.

  Lemma rate_nonneg r i : (forall j, (j < m)%nat -> 0 < r j) -> 0 <= rate r i.
  Proof.
    intros H. unfold rate. assert (0 <= sum (fun j => c i j * r j) m).
    { apply sum_nonneg. intros j Hj. pose proof (H j Hj). pose proof (c_pos i j). nra. }
    pose proof (f_pos i). lra.
  Qed.

  Lemma mul_le a x y : 0 <= a -> x <= y -> a * x <= a * y.
  Proof. intros. nra. Qed.

  Lemma cancel x y a : 0 <= a -> x * a < y * a -> x < y.
  Proof. intros. apply Qnot_le_lt. intros N. nra. Qed.

  Lemma mul_pos x y : 0 < x -> 0 < y -> 0 < x * y.
  Proof. apply Qmult_lt_0_compat. Qed.

  Lemma square x : 0 <= x * x.
  Proof. destruct (Qlt_le_dec x 0); nra. Qed.

  Lemma over_pos x y : 0 < x -> 0 < y -> 0 < x * / y.
  Proof. intros. apply mul_pos; auto. apply inverse_pos; auto. Qed.

  Lemma over_mul x y : 0 < y -> x * / y * y == x.
  Proof. intros. field. lra. Qed.

  (** ** Nested: where MACs are cheaper no group is narrower.  Any graph of pairs, floors, upper ends and
      fixed costs; all that is asked of the values is that the worth of a percent falls as a group grows. *)
  Theorem nested_budgets l l' worth worth' lo hi r s :
    balanced l worth lo hi r -> balanced l' worth' lo hi s -> l' <= l ->
    (forall i, (i < m)%nat -> (r i < s i -> worth' i < worth i) /\ (s i < r i -> worth i < worth' i)) ->
    forall i, (i < m)%nat -> r i <= s i.
  Proof.
    intros [Hl B] [Hl' B'] Hll W i0 Hi0. apply Qnot_lt_le. intros Hlt.
    assert (P : forall j, (j < m)%nat -> 0 < r j) by (intros j Hj; apply (B j Hj)).
    assert (P' : forall j, (j < m)%nat -> 0 < s j) by (intros j Hj; apply (B' j Hj)).
    destruct (least (fun j => s j * / r j) m ltac:(lia)) as (i & Hi & Li).
    destruct (least (fun j => - (s j * / r j)) m ltac:(lia)) as (k & Hk & Lk). simpl in Li, Lk.
    pose proof (over_mul (s i) (r i) (P i Hi)) as Si. pose proof (over_mul (s k) (r k) (P k Hk)) as Sk.
    pose proof (over_pos (s i) (r i) (P' i Hi) (P i Hi)) as x0.
    set (x := s i * / r i) in *. set (y := s k * / r k) in *.
    assert (X : forall j, (j < m)%nat -> x * r j <= s j).
    { intros j Hj. rewrite <- (over_mul (s j) (r j) (P j Hj)). apply Qmult_le_compat_r; auto. apply Qlt_le_weak; auto. }
    assert (Y : forall j, (j < m)%nat -> s j <= y * r j).
    { intros j Hj. rewrite <- (over_mul (s j) (r j) (P j Hj)). apply Qmult_le_compat_r; [|apply Qlt_le_weak; auto].
      pose proof (Lk j Hj). lra. }
    assert (x1 : x < 1).
    { pose proof (X i0 Hi0) as A. pose proof (P i0 Hi0) as R. clear - A R Hlt. apply (cancel _ _ (r i0)); lra. }
    pose proof (P i Hi) as ri. pose proof (P k Hk) as rk.
    pose proof (rate_nonneg r i P) as ni. pose proof (rate_nonneg r k P) as nk.
    assert (Ti : 0 <= r i * rate r i) by (apply Qmult_le_0_compat; auto; lra).
    assert (Tk : 0 <= r k * rate r k) by (apply Qmult_le_0_compat; auto; lra).
    assert (si : s i < r i) by (rewrite <- Si; clear - ri x1; nra).
    assert (L1 : l * (r i * rate r i) < l' * x * r i * rate s i).
    { destruct (B i Hi) as (_ & _ & H1 & _ & H2). destruct (B' i Hi) as (_ & H3 & _ & H4 & _).
      pose proof (H2 ltac:(lra)) as D. pose proof (H4 ltac:(lra)) as U. pose proof (proj2 (W i Hi) si) as V.
      unfold touched in D, U. rewrite <- Si in U. clear - D U V. lra. }
    assert (N : 0 <= l' * x * r i) by (apply Qlt_le_weak, mul_pos; auto; apply mul_pos; auto).
    destruct (Qlt_le_dec 1 y) as [y1|y1].
    - assert (A : l < l' * (x * y)).
      { pose proof (mul_le _ _ _ N (rate_le y r s i ltac:(lra) Y)) as A.
        apply (cancel _ _ (r i * rate r i)); auto. clear - A L1. lra. }
      assert (sk : r k < s k) by (rewrite <- Sk; clear - rk y1; nra).
      assert (L2 : l' * y * r k * rate s k < l * (r k * rate r k)).
      { destruct (B k Hk) as (_ & H1 & _ & H2 & _). destruct (B' k Hk) as (_ & _ & H3 & _ & H4).
        pose proof (H2 ltac:(lra)) as U. pose proof (H4 ltac:(lra)) as D. pose proof (proj1 (W k Hk) sk) as V.
        unfold touched in D, U. rewrite <- Sk in D. clear - D U V. lra. }
      assert (N' : 0 <= l' * y * r k) by (apply Qlt_le_weak, mul_pos; auto; apply mul_pos; auto; lra).
      pose proof (mul_le _ _ _ N' (rate_ge x r s k ltac:(lra) X)) as A'.
      assert (l' * (x * y) < l); [|lra]. apply (cancel _ _ (r k * rate r k)); auto. clear - A' L2. lra.
    - assert (Y1 : forall j, (j < m)%nat -> s j <= 1 * r j).
      { intros j Hj. pose proof (Y j Hj) as A. pose proof (P j Hj) as R. clear - A R y1. nra. }
      pose proof (mul_le _ _ _ N (rate_le 1 r s i ltac:(lra) Y1)) as A.
      assert (l < l' * x); [|clear - H Hll Hl' x1; nra].
      apply (cancel _ _ (r i * rate r i)); auto. clear - A L1. lra.
  Qed.

  (** Of two budgets that are used up the larger one has the cheaper MACs, so it is wider everywhere. *)
  Corollary nested_by_budget l l' (h : nat -> Q -> Q) lo hi r s :
    (forall i x y, 0 < x -> x < y -> h i y < h i x) ->
    balanced l (fun i => h i (r i)) lo hi r -> balanced l' (fun i => h i (s i)) lo hi s -> macs r < macs s ->
    forall i, (i < m)%nat -> r i <= s i.
  Proof.
    intros H B B' C.
    assert (W : forall u v, (forall j, (j < m)%nat -> 0 < u j) -> (forall j, (j < m)%nat -> 0 < v j) -> forall i, (i < m)%nat ->
      (u i < v i -> h i (v i) < h i (u i)) /\ (v i < u i -> h i (u i) < h i (v i))) by (intros; split; intros; apply H; auto).
    assert (P : forall j, (j < m)%nat -> 0 < r j) by (intros j Hj; apply B; auto).
    assert (P' : forall j, (j < m)%nat -> 0 < s j) by (intros j Hj; apply B'; auto).
    destruct (Qlt_le_dec l l') as [L|L].
    - exfalso. pose proof (nested_budgets l' l _ _ lo hi s r B' B (Qlt_le_weak _ _ L) (W s r P' P)) as N.
      assert (macs s <= macs r); [|lra]. unfold macs. apply sum_le. intros i Hi.
      assert (I : sum (fun j => c i j * s j) m <= sum (fun j => c i j * r j) m).
      { apply sum_le. intros j Hj. apply mul_le; auto. }
      assert (J : 0 <= sum (fun j => c i j * s j) m).
      { apply sum_nonneg. intros j Hj. apply Qmult_le_0_compat; auto. apply Qlt_le_weak; auto. }
      pose proof (f_pos i). apply Qle_trans with (s i * (f i + (1 # 2) * sum (fun j => c i j * r j) m)).
      + apply mul_le; [apply Qlt_le_weak; auto|lra].
      + apply Qmult_le_compat_r; auto. lra.
    - apply (nested_budgets l l' _ _ lo hi r s B B' L (W r s P P')).
  Qed.

  (** CES: worth w i / r i ^ g i with whole g i = gamma e_i >= 1, which may differ from group to group. *)
  Corollary ces_budgets_are_nested l l' w g lo hi r s : (forall i, 0 < w i) ->
    balanced l (fun i => w i * / pow (r i) (S (g i))) lo hi r ->
    balanced l' (fun i => w i * / pow (s i) (S (g i))) lo hi s -> macs r < macs s ->
    forall i, (i < m)%nat -> r i <= s i.
  Proof.
    intros W. apply (nested_by_budget l l' (fun i x => w i * / pow x (S (g i)))).
    intros i x y X XY. assert (G : forall k, pow x (S k) < pow y (S k)).
    { induction k as [|k IH]; [simpl; lra|]. change (x * pow x (S k) < y * pow y (S k)).
      pose proof (pow_pos x (S k) X). assert (0 < y) by lra.
      apply Qlt_le_trans with (y * pow x (S k)); [apply Qmult_lt_compat_r; auto|apply mul_le; lra]. }
    pose proof (pow_pos x (S (g i)) X) as P. pose proof (G (g i)) as L. pose proof (W i) as Wi.
    set (p := pow x (S (g i))) in *. set (q := pow y (S (g i))) in *. clearbody p q.
    assert (Q : 0 < q) by lra. assert (I : / q < / p).
    { apply (Qmult_lt_r _ _ (p * q)); [apply mul_pos; auto|].
      setoid_replace (/ q * (p * q)) with p by (field; lra). setoid_replace (/ p * (p * q)) with q by (field; lra). auto. }
    rewrite !(Qmult_comm (w i)). apply Qmult_lt_compat_r; auto.
  Qed.

  (** For one price there is one balanced choice. *)
  Corollary balanced_is_unique l (h : nat -> Q -> Q) lo hi r s :
    (forall i x y, 0 < x -> x < y -> h i y < h i x) ->
    balanced l (fun i => h i (r i)) lo hi r -> balanced l (fun i => h i (s i)) lo hi s ->
    forall i, (i < m)%nat -> r i == s i.
  Proof.
    intros H B B' i Hi.
    assert (P : forall j, (j < m)%nat -> 0 < r j) by (intros j Hj; apply B; auto).
    assert (P' : forall j, (j < m)%nat -> 0 < s j) by (intros j Hj; apply B'; auto).
    assert (half : forall u v, balanced l (fun i => h i (u i)) lo hi u -> balanced l (fun i => h i (v i)) lo hi v ->
      (forall j, (j < m)%nat -> 0 < u j) -> (forall j, (j < m)%nat -> 0 < v j) -> u i <= v i).
    { intros u v Bu Bv Pu Pv.
      refine (nested_budgets l l (fun i => h i (u i)) (fun i => h i (v i)) lo hi u v Bu Bv _ _ i Hi); [lra|].
      intros j Hj. split; intros L; apply H; auto. }
    apply Qle_antisym; apply half; auto.
  Qed.

  (** ** Balanced is best.  Widths r i = x i ^ b (so that gamma e_i = a i / b may be any fraction; S b and
      S (a i) below are at least 1) and the CES loss sum_i w i * b / a i * x i ^ - a i, w i = A_i e_i: no widths in range of at most the same MACs lose less. *)
  Definition num (n : nat) := inject_Z (Z.of_nat (S n)).
  Definition ces_loss (b : nat) (a : nat -> nat) (w x : nat -> Q) :=
    sum (fun i => w i * (num b * / num (a i)) * / pow (x i) (S (a i))) m.

  Lemma bernoulli x n : 0 < x -> 1 + inject_Z (Z.of_nat n) * (x - 1) <= pow x n.
  Proof.
    intros H. induction n as [|n IH]; [change (inject_Z (Z.of_nat 0)) with 0; simpl; lra|]. simpl pow.
    rewrite Nat2Z.inj_succ, <- Z.add_1_r, inject_Z_plus.
    assert (0 <= inject_Z (Z.of_nat n)) as N by (change 0 with (inject_Z 0); rewrite <- Zle_Qle; lia).
    set (k := inject_Z (Z.of_nat n)) in *. change (inject_Z 1) with 1.
    apply Qle_trans with (x * (1 + k * (x - 1))); [|apply mul_le; auto; lra].
    assert (0 <= k * ((x - 1) * (x - 1))) by (apply Qmult_le_0_compat; [exact N|apply square]). lra.
  Qed.

  (** The mean of three numbers: 1/x, 1/y and x y. *)
  Lemma three x y : 0 < x -> 0 < y -> 1 - x * y <= / x + / y - 2.
  Proof.
    intros X Y. assert (P : 0 < x * y) by (apply mul_pos; auto).
    assert (E : / x + / y == (x + y) * / (x * y)) by (field; split; lra). rewrite E.
    assert (A : (3 - x * y) * (x * y) <= x + y).
    { apply Qnot_lt_le. intros N.
      assert (S2 : 4 * (x * y) <= (x + y) * (x + y)) by (pose proof (square (x - y)); lra).
      set (p := x * y) in *. set (v := x + y) in *. assert (V : 0 < v) by (unfold v; lra).
      assert (T : 0 < 3 - p) by (apply (cancel _ _ p); lra).
      assert (v * v < (3 - p) * p * ((3 - p) * p)) by (clear - N V; nra).
      assert (G : 0 <= p * ((p - 1) * (p - 1) * (4 - p))); [|lra].
      apply Qmult_le_0_compat; [lra|]. apply Qmult_le_0_compat; [apply square|lra]. }
    pose proof (inverse_pos _ P) as I. pose proof (inverse_mul _ P) as J. set (p := x * y) in *.
    assert ((3 - p) * (p * / p) <= (x + y) * / p) as K by (clear - A I; nra).
    rewrite (Qmult_comm p), J in K. lra.
  Qed.

  Lemma num_pos n : 0 < num n.
  Proof. unfold num. change 0 with (inject_Z 0). rewrite <- Zlt_Qlt. lia. Qed.

  Lemma pow_over x y n : 0 < y -> pow (x * / y) n * pow y n == pow x n.
  Proof. intros H. rewrite <- pow_mul. apply pow_ext, over_mul; auto. Qed.

  Lemma tangent x y b : 0 < x -> 0 < y -> pow x (S b) * (1 + num b * (y * / x - 1)) <= pow y (S b).
  Proof.
    intros X Y. rewrite <- (pow_over y x (S b) X), Qmult_comm.
    apply Qmult_le_compat_r; [|apply Qlt_le_weak, pow_pos; auto]. apply bernoulli, over_pos; auto.
  Qed.

  Lemma loss_term w b a x y : 0 <= w -> 0 < x -> 0 < y ->
    num b * (w * / pow x (S a) * (x * / y - 1)) <= w * (num b * / num a) * / pow y (S a) - w * (num b * / num a) * / pow x (S a).
  Proof.
    intros W X Y. pose proof (num_pos b) as B. pose proof (num_pos a) as A.
    pose proof (pow_pos x (S a) X) as Px. pose proof (pow_pos y (S a) Y) as Py.
    pose proof (bernoulli _ (S a) (over_pos x y X Y)) as T. fold (num a) in T.
    assert (E : / pow y (S a) == pow (x * / y) (S a) * / pow x (S a)).
    { rewrite <- (pow_over x y (S a) Y). field. pose proof (pow_pos (x * / y) (S a) (over_pos x y X Y)). split; lra. }
    rewrite E. set (u := x * / y) in *. set (p := pow u (S a)) in *.
    assert (F : num b * (w * / pow x (S a) * (u - 1)) == w * (num b * / num a) * / pow x (S a) * (num a * (u - 1))).
    { field. split; lra. }
    rewrite F.
    setoid_replace (w * (num b * / num a) * (p * / pow x (S a)) - w * (num b * / num a) * / pow x (S a))
      with (w * (num b * / num a) * / pow x (S a) * (p - 1)) by ring.
    apply mul_le; [|lra]. apply Qmult_le_0_compat; [apply Qmult_le_0_compat; auto|]; apply Qlt_le_weak.
    - apply over_pos; auto.
    - apply inverse_pos; auto.
  Qed.

  Lemma fixed_term b x y : 0 < x -> 0 < y ->
    pow x (S b) - pow y (S b) <= num b * (pow x (S b) * (x * / y - 1)).
  Proof.
    intros X Y. pose proof (tangent x y b X Y) as T. pose proof (num_pos b) as B. pose proof (pow_pos x (S b) X) as P.
    pose proof (over_pos x y X Y) as U. pose proof (over_pos y x Y X) as V.
    assert (U1 : x * / y * (y * / x) == 1) by (field; split; lra).
    set (u := x * / y) in *. set (v := y * / x) in *. set (p := pow x (S b)) in *.
    assert (0 <= u + v - 2) as S2.
    { apply Qnot_lt_le. intros N. pose proof (square (u - v)). assert ((u + v) * (u + v) < 2 * 2) by (clear - N U V; nra). lra. }
    assert (0 <= num b * p * (u + v - 2)); [|lra].
    apply Qmult_le_0_compat; auto. apply Qmult_le_0_compat; lra.
  Qed.

  Lemma pair_term b x x' y y' : 0 < x -> 0 < x' -> 0 < y -> 0 < y' ->
    pow x (S b) * pow x' (S b) - pow y (S b) * pow y' (S b)
    <= num b * (pow x (S b) * pow x' (S b) * (x * / y + x' * / y' - 2)).
  Proof.
    intros X X' Y Y'. rewrite <- !pow_mul.
    pose proof (tangent (x * x') (y * y') b (mul_pos _ _ X X') (mul_pos _ _ Y Y')) as T.
    pose proof (num_pos b) as B. pose proof (pow_pos (x * x') (S b) (mul_pos _ _ X X')) as P.
    pose proof (three (y * / x) (y' * / x') (over_pos _ _ Y X) (over_pos _ _ Y' X')) as H3.
    assert (E : / (y * / x) + / (y' * / x') - 2 == x * / y + x' * / y' - 2) by (field; repeat split; lra).
    assert (F : y * / x * (y' * / x') == y * y' * / (x * x')) by (field; split; lra).
    rewrite E, F in H3. set (v := y * y' * / (x * x')) in *. set (p := pow (x * x') (S b)) in *.
    assert (num b * p * (1 - v) <= num b * p * (x * / y + x' * / y' - 2)).
    { apply mul_le; auto. apply Qmult_le_0_compat; lra. }
    lra.
  Qed.

  Hypothesis c_sym : forall i j, c i j == c j i.

  (** What all groups give away together: sum of touched MACs times (x/y - 1). *)
  Lemma given_away b x y : (forall i, (i < m)%nat -> 0 < x i) -> (forall i, (i < m)%nat -> 0 < y i) ->
    let r := fun i => pow (x i) (S b) in
    macs r - macs (fun i => pow (y i) (S b)) <= num b * sum (fun i => touched r i * (x i * / y i - 1)) m.
  Proof.
    intros X Y r. set (s := fun i => pow (y i) (S b)). set (u := fun i => x i * / y i - 1).
    assert (M : forall t, macs t == sum (fun i => f i * t i) m + (1 # 2) * sum (fun i => sum (fun j => c i j * (t i * t j)) m) m).
    { intros t. unfold macs. rewrite <- sum_scale, sum_add. apply sum_ext. intros i Hi.
      setoid_replace (sum (fun j => c i j * (t i * t j)) m) with (t i * sum (fun j => c i j * t j) m); [ring|].
      rewrite <- sum_scale. apply sum_ext. intros; ring. }
    assert (G : sum (fun i => touched r i * u i) m ==
                sum (fun i => f i * (r i * u i)) m + (1 # 2) * sum (fun i => sum (fun j => c i j * (r i * r j * (u i + u j))) m) m).
    { assert (D : sum (fun i => sum (fun j => c i j * (r i * r j * (u i + u j))) m) m ==
                  2 * sum (fun i => sum (fun j => c i j * (r i * r j * u i)) m) m).
      { assert (W : sum (fun i => sum (fun j => c i j * (r i * r j * u j)) m) m ==
                    sum (fun i => sum (fun j => c i j * (r i * r j * u i)) m) m).
        { rewrite sum_swap. apply sum_ext. intros i Hi. apply sum_ext. intros j Hj. rewrite (c_sym j i). ring. }
        transitivity (sum (fun i => sum (fun j => c i j * (r i * r j * u i)) m) m +
                      sum (fun i => sum (fun j => c i j * (r i * r j * u j)) m) m); [|rewrite W; ring].
        rewrite sum_add. apply sum_ext. intros i Hi. rewrite sum_add. apply sum_ext. intros; ring. }
      rewrite D.
      setoid_replace ((1 # 2) * (2 * sum (fun i => sum (fun j => c i j * (r i * r j * u i)) m) m))
        with (sum (fun i => sum (fun j => c i j * (r i * r j * u i)) m) m) by ring.
      rewrite sum_add. apply sum_ext. intros i Hi. unfold touched, rate.
      setoid_replace (sum (fun j => c i j * (r i * r j * u i)) m) with (r i * u i * sum (fun j => c i j * r j) m); [ring|].
      rewrite <- sum_scale. apply sum_ext. intros; ring. }
    change (sum (fun i => touched r i * (x i * / y i - 1)) m) with (sum (fun i => touched r i * u i) m).
    rewrite G, (M r), (M s).
    assert (F : sum (fun i => f i * r i) m + - (1) * sum (fun i => f i * s i) m <= num b * sum (fun i => f i * (r i * u i)) m).
    { rewrite <- !sum_scale, sum_add. apply sum_le. intros i Hi.
      pose proof (mul_le _ _ _ (f_pos i) (fixed_term b (x i) (y i) (X i Hi) (Y i Hi))) as H.
      unfold r, s, u. lra. }
    assert (K : sum (fun i => sum (fun j => c i j * (r i * r j)) m) m + - (1) * sum (fun i => sum (fun j => c i j * (s i * s j)) m) m
                <= num b * sum (fun i => sum (fun j => c i j * (r i * r j * (u i + u j))) m) m).
    { rewrite <- !sum_scale, sum_add. apply sum_le. intros i Hi. rewrite <- !sum_scale, sum_add. apply sum_le. intros j Hj.
      pose proof (mul_le _ _ _ (c_pos i j) (pair_term b (x i) (x j) (y i) (y j) (X i Hi) (X j Hj) (Y i Hi) (Y j Hj))) as H.
      unfold r, s, u. lra. }
    lra.
  Qed.

  Theorem balanced_is_best l b a w x y lo hi :
    (forall i, 0 <= w i) -> (forall i, (i < m)%nat -> 0 < x i /\ 0 < y i /\ lo i <= y i /\ y i <= hi i) -> 0 < l ->
    (forall i, (i < m)%nat -> let t := touched (fun j => pow (x j) (S b)) i in
      (x i < hi i -> w i * / pow (x i) (S (a i)) <= l * t) /\ (lo i < x i -> l * t <= w i * / pow (x i) (S (a i)))) ->
    macs (fun i => pow (y i) (S b)) <= macs (fun i => pow (x i) (S b)) -> ces_loss b a w x <= ces_loss b a w y.
  Proof.
    intros W R Hl B C.
    pose proof (given_away b x y (fun i Hi => proj1 (R i Hi)) (fun i Hi => proj1 (proj2 (R i Hi)))) as G. cbv zeta in G.
    set (r := fun i => pow (x i) (S b)) in *.
    assert (0 <= sum (fun i => w i * (num b * / num (a i)) * / pow (y i) (S (a i))) m +
                 - (1) * sum (fun i => w i * (num b * / num (a i)) * / pow (x i) (S (a i))) m); [|unfold ces_loss; lra].
    apply Qle_trans with (l * (num b * sum (fun i => touched r i * (x i * / y i - 1)) m)).
    { apply Qmult_le_0_compat; [lra|]. lra. }
    rewrite <- !sum_scale, sum_add. apply sum_le. intros i Hi. destruct (R i Hi) as (X & Y & Lo & Hh).
    pose proof (loss_term (w i) b (a i) (x i) (y i) (W i) X Y) as T. destruct (B i Hi) as [Up Down]. clear B G C.
    pose proof (num_pos b) as Nb. set (v := w i * / pow (x i) (S (a i))) in *. fold r in Up, Down.
    set (t := touched r i) in *. pose proof (over_mul (x i) (y i) Y) as E. set (u := x i * / y i) in *.
    assert (l * t * (u - 1) <= v * (u - 1)) as H.
    { destruct (Q_dec (x i) (y i)) as [[L|L]|L].
      - pose proof (Up ltac:(lra)) as H. assert (u < 1) by (clear - E L Y; nra). clear - H H0. nra.
      - pose proof (Down ltac:(lra)) as H. assert (1 < u) by (clear - E L Y; nra). clear - H H0. nra.
      - assert (u == 1) as -> by (clear - E L Y; nra). lra. }
    pose proof (mul_le _ _ _ (Qlt_le_weak _ _ Nb) H). lra.
  Qed.
End Network.
