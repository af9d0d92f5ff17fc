(** * Scale.v -- products of widths, any number of layers: dividing all widths

    A network has L layers; layer l has units 0, 1, 2, ... with profits [d l], sorted.
    Widths n cost a sum of products [c * n i * n j] over any list of pairs (i = j is
    allowed: a layer that reads the channels it writes), of multiples of single widths
    (a fixed input or output, biases, depthwise layers) and of a constant.

    Multiply all widths by u/v and round down.  The products are multiplied by at most
    (u/v)^2, and of every layer at least the share of its units that is left is kept of
    its profit, because sorted units lose the least valuable ones first.  So bottom-up
    and top-down keep about sqrt (c1/c2), whatever the graph and the scores are.

    Square roots are avoided as elsewhere: every fraction u/v whose square is at most
    c1/c2 may be taken.                                                               *)
From Coq Require Import Arith Lia Bool List QArith.
Require Import Knapsack Bilinear.
Import ListNotations.
Open Scope nat_scope.

(** ** Sorted units: the first m of n are worth at least m/n of all n. *)
Definition descending (d : nat -> nat) := forall i j, i <= j -> d j <= d i.

Lemma prefix_profit_shift d f n :
  prefix_profit d (f + n) = prefix_profit d f + prefix_profit (fun i => d (f + i)) n.
Proof.
  induction n as [|n IH]; [rewrite Nat.add_0_r; unfold prefix_profit; simpl; lia|].
  rewrite Nat.add_succ_r. unfold prefix_profit in *. simpl. change (every (f + n)) with true.
  cbv iota. rewrite IH. lia.
Qed.

Lemma prefix_average d m r : descending d ->
  m * prefix_profit d (m + r) <= (m + r) * prefix_profit d m.
Proof.
  intros H.
  assert (B : forall k, k <= m -> k * d m <= prefix_profit d k).
  { induction k as [|k IH]; intros Hk; [simpl; lia|]. unfold prefix_profit in *. simpl.
    pose proof (H k m ltac:(lia)). specialize (IH ltac:(lia)). lia. }
  assert (G : m * prefix_profit (fun i => d (m + i)) r <= r * prefix_profit d m).
  { specialize (B m (le_n m)). induction r as [|k IH]; [unfold prefix_profit; simpl; lia|].
    unfold prefix_profit in *. simpl. pose proof (H m (m + k) ltac:(lia)).
    assert (m * d (m + k) <= m * d m) by (apply Nat.mul_le_mono_l; auto).
    rewrite Nat.mul_add_distr_l. lia. }
  rewrite prefix_profit_shift. lia.
Qed.

(** The share q/s of the units is kept: so is the share q/s of the profit. *)
Lemma prefix_keeps d m n q s : descending d -> 1 <= n -> m <= n -> q * n <= s * m ->
  q * prefix_profit d n <= s * prefix_profit d m.
Proof.
  intros S H1 Hm H. assert (exists r, n = m + r) as [r E] by (exists (n - m); lia).
  pose proof (prefix_average d m r S) as A. rewrite <- E in A.
  set (Vn := prefix_profit d n) in *. set (Vm := prefix_profit d m) in *. clearbody Vn Vm.
  apply (Nat.mul_le_mono_pos_l _ _ n); [lia|].
  assert (q * n * Vn <= s * m * Vn) by (apply Nat.mul_le_mono_r; auto).
  assert (s * (m * Vn) <= s * (n * Vm)) by (apply Nat.mul_le_mono_l; auto). lia.
Qed.

Lemma tot_mono f g L : (forall l, l < L -> f l <= g l) -> tot f every L <= tot g every L.
Proof.
  induction L as [|k IH]; intros H; simpl; [lia|].
  specialize (IH ltac:(intros; apply H; lia)). specialize (H k ltac:(lia)). lia.
Qed.
Lemma tot_times q f L : tot (fun l => q * f l) every L = q * tot f every L.
Proof. induction L as [|k IH]; simpl; [lia|]. rewrite IH. lia. Qed.

(** Rounding down: of n >= g units at least u/v - (v-1)/(v g) are left. *)
Lemma cut_share u v g n : 0 < v -> g <= n -> (u * g - (v - 1)) * n <= v * g * (u * n / v).
Proof.
  intros Hv Hg. pose proof (Nat.div_mod (u * n) v ltac:(lia)) as E.
  pose proof (Nat.mod_upper_bound (u * n) v ltac:(lia)) as R.
  set (w := u * n / v) in *. clearbody w.
  assert (T : u * n <= v * w + (v - 1)) by lia.
  rewrite Nat.mul_sub_distr_r.
  assert (g * (u * n) <= g * (v * w + (v - 1))) by (apply Nat.mul_le_mono_l; auto).
  assert ((v - 1) * g <= (v - 1) * n) by (apply Nat.mul_le_mono_l; auto). lia.
Qed.

Section Net.
  Variable L : nat.
  Variable d : nat -> nat -> nat.
  Hypothesis sorted : forall l, descending (d l).
  Variable pairs : list (nat * nat * nat).
  Variable singles : list (nat * nat).
  Variable fixed : nat.

  Definition kept (n : nat -> nat) (l : nat) := prefix_profit (d l) (n l).
  Definition val (n : nat -> nat) := tot (kept n) every L.
  Definition macs (n : nat -> nat) :=
    fold_right (fun t s => let '(c, i, j) := t in c * n i * n j + s) 0 pairs.
  Definition ends (n : nat -> nat) := fold_right (fun t s => let '(c, i) := t in c * n i + s) 0 singles.
  Definition cost (n : nat -> nat) := macs n + ends n + fixed.

  (** All widths times u/v, rounded down; the same, but not below floors f; and the
      part above the floors times u/v.                                              *)
  Definition cut (u v : nat) (n : nat -> nat) (l : nat) := u * n l / v.
  Definition cut_to (f : nat -> nat) (u v : nat) (n : nat -> nat) (l : nat) := Nat.max (f l) (cut u v n l).
  Definition cut_above (f : nat -> nat) (u v : nat) (n : nat -> nat) (l : nat) := f l + u * (n l - f l) / v.

  Lemma kept_mono m n : (forall l, l < L -> m l <= n l) -> forall l, l < L -> kept m l <= kept n l.
  Proof. intros H l Hl. apply prefix_profit_increasing. auto. Qed.
  Lemma val_mono m n : (forall l, l < L -> m l <= n l) -> val m <= val n.
  Proof. intros H. apply tot_mono. apply kept_mono. auto. Qed.

  Lemma cut_le u v n l : u <= v -> 0 < v -> cut u v n l <= n l.
  Proof. intros Huv Hv. apply Nat.div_le_upper_bound; [lia|]. apply Nat.mul_le_mono_r. auto. Qed.
  Lemma cut_up u v n l : 0 < v -> v * cut u v n l <= u * n l.
  Proof. intros Hv. apply Nat.mul_div_le. lia. Qed.

  (** *** Costs: products fall with the square, single widths with u/v. *)
  Lemma macs_cut u v n : 0 < v -> v * v * macs (cut u v n) <= u * u * macs n.
  Proof.
    intros Hv. unfold macs. induction pairs as [|[[c i] j] T IH]; simpl; [lia|].
    assert (P : (v * cut u v n i) * (v * cut u v n j) <= (u * n i) * (u * n j))
      by (apply Nat.mul_le_mono; apply cut_up; auto).
    assert (c * ((v * cut u v n i) * (v * cut u v n j)) <= c * ((u * n i) * (u * n j)))
      by (apply Nat.mul_le_mono_l; auto). lia.
  Qed.
  Lemma ends_cut u v n : 0 < v -> v * ends (cut u v n) <= u * ends n.
  Proof.
    intros Hv. unfold ends. induction singles as [|[c i] T IH]; simpl; [lia|].
    assert (c * (v * cut u v n i) <= c * (u * n i)) by (apply Nat.mul_le_mono_l; apply cut_up; auto). lia.
  Qed.

  (** With A in products, B in single widths and K fixed, u/v = r fits C where
      A r^2 + B r + K <= C.                                                     *)
  Theorem scale_cost u v n C : 0 < v ->
    u * u * macs n + u * v * ends n + v * v * fixed <= v * v * C -> cost (cut u v n) <= C.
  Proof.
    intros Hv H. unfold cost.
    pose proof (macs_cut u v n Hv). pose proof (ends_cut u v n Hv) as E.
    assert (v * (v * ends (cut u v n)) <= v * (u * ends n)) by (apply Nat.mul_le_mono_l; auto).
    apply (Nat.mul_le_mono_pos_l _ _ (v * v)); [apply Nat.mul_pos_pos; auto|]. lia.
  Qed.

  (** *** Values: the worst share of widths that is left is left of everything. *)
  Theorem val_keeps m n q s : (forall l, l < L -> 1 <= n l) -> (forall l, l < L -> m l <= n l) ->
    (forall l, l < L -> q * n l <= s * m l) -> q * val n <= s * val m.
  Proof.
    intros H1 Hm H. unfold val. rewrite <- !tot_times. apply tot_mono. intros l Hl.
    apply prefix_keeps; auto.
  Qed.

  (** (a) Widths within C contain widths within (u/v)^2 C that keep q/s of the value. *)
  Theorem scale u v n q s C : u <= v -> 0 < v -> (forall l, l < L -> 1 <= n l) ->
    (forall l, l < L -> q * n l <= s * cut u v n l) -> macs n <= C ->
    (forall l, cut u v n l <= n l) /\ v * v * macs (cut u v n) <= u * u * C /\ q * val n <= s * val (cut u v n).
  Proof.
    intros Huv Hv H1 H HC. split; [|split].
    - intros l. apply cut_le; auto.
    - pose proof (macs_cut u v n Hv). assert (u * u * macs n <= u * u * C) by (apply Nat.mul_le_mono_l; auto). lia.
    - apply val_keeps; auto. intros. apply cut_le; auto.
  Qed.

  (** Divided by t: MACs by t^2, and of widths of at least g all but 1/t - (t-1)/(t g). *)
  Corollary divide t n g : 1 <= t -> 1 <= g -> (forall l, l < L -> g <= n l) ->
    t * t * macs (cut 1 t n) <= macs n /\ (g - (t - 1)) * val n <= t * g * val (cut 1 t n).
  Proof.
    intros Ht Hg H.
    destruct (scale 1 t n (g - (t - 1)) (t * g) (macs n)) as (_ & A & B); [lia|lia| | |lia|split; [lia|exact B]].
    - intros l Hl. specialize (H l Hl). lia.
    - intros l Hl. pose proof (cut_share 1 t g (n l) ltac:(lia) (H l Hl)) as E. rewrite Nat.mul_1_l in E. exact E.
  Qed.

  (** ** Nested subnetworks.  Floors f, full widths U. *)
  Definition allowed (f U x : nat -> nat) := forall l, l < L -> f l <= x l /\ x l <= U l.
  Definition affordable_net f U C x := allowed f U x /\ cost x <= C.
  Definition optimal_net f U C x := affordable_net f U C x /\ forall y, affordable_net f U C y -> val y <= val x.
  Definition restricts_net f C x y := allowed f x y /\ cost y <= C /\
    forall z, allowed f x z -> cost z <= C -> val z <= val y.
  Definition floor_one (l : nat) := 1.

  (** What fits when x is divided, its floors kept. *)
  Lemma cut_allowed f U u v x : u <= v -> 0 < v -> allowed f U x ->
    (forall l, l < L -> v * f l <= u * x l) -> allowed f U (cut u v x) /\ allowed f x (cut u v x).
  Proof.
    intros Huv Hv A F. split; intros l Hl; specialize (A l Hl); specialize (F l Hl);
      pose proof (cut_le u v x l Huv Hv); (split; [apply Nat.div_le_lower_bound; lia|lia]).
  Qed.

  (** Widths of at least g, divided, keep u/v - (v-1)/(v g) of the value. *)
  Lemma cut_keeps u v g x : u <= v -> 0 < v -> (forall l, l < L -> 1 <= x l) -> (forall l, l < L -> g <= x l) ->
    (u * g - (v - 1)) * val x <= v * g * val (cut u v x).
  Proof.
    intros Huv Hv H1 G. apply val_keeps; auto.
    - intros. apply cut_le; auto.
    - intros l Hl. apply cut_share; auto.
  Qed.

  (** (b) Bottom-up.  x1 is optimal at c1; xj contains it; o are any widths, such as the
      optimum at cj, all of at least g, that divided by v/u are above the floors and fit
      c1.  Then (u/v - (v-1)/(v g)) OPT(cj) <= BU.                                     *)
  Theorem scale_bottom_up f U c1 x1 xj o u v g :
    u <= v -> 0 < v -> (forall l, l < L -> 1 <= f l) ->
    optimal_net f U c1 x1 -> (forall l, l < L -> x1 l <= xj l) ->
    allowed f U o -> (forall l, l < L -> g <= o l) -> (forall l, l < L -> v * f l <= u * o l) ->
    u * u * macs o + u * v * ends o + v * v * fixed <= v * v * c1 ->
    u * g * val o <= v * g * val xj + (v - 1) * val o.
  Proof.
    intros Huv Hv Hf [_ best] up A G F C.
    destruct (cut_allowed f U u v o Huv Hv A F) as [A1 _].
    pose proof (cut_keeps u v g o Huv Hv (fun l Hl => Nat.le_trans _ _ _ (Hf l Hl) (proj1 (A l Hl))) G) as K.
    pose proof (best (cut u v o) (conj A1 (scale_cost u v o c1 Hv C))) as B.
    pose proof (val_mono x1 xj up) as M.
    assert (v * g * val (cut u v o) <= v * g * val xj) by (apply Nat.mul_le_mono_l; lia).
    rewrite Nat.mul_sub_distr_r in K. lia.
  Qed.

  (** With floors 1 and products alone nothing else is asked: the square root of c1/cj,
      less 1/g, in every fraction.                                                    *)
  Corollary scale_bottom_up_products U c1 cj x1 xj o u v g :
    ends o + fixed = 0 -> u <= v -> 0 < v ->
    optimal_net floor_one U c1 x1 -> (forall l, l < L -> x1 l <= xj l) ->
    optimal_net floor_one U cj o -> (forall l, l < L -> g <= o l) ->
    u * u * cj <= v * v * c1 ->
    u * g * val o <= v * g * val xj + v * val o.
  Proof.
    intros E Huv Hv X up [[A C] _] G R.
    destruct (le_lt_dec v (u * g)) as [Hg|Hg].
    - assert (u * g * val o <= v * g * val xj + (v - 1) * val o).
      { apply scale_bottom_up with (f := floor_one) (U := U) (c1 := c1) (x1 := x1); auto.
        - intros l Hl. specialize (G l Hl). unfold floor_one.
          assert (u * g <= u * o l) by (apply Nat.mul_le_mono_l; auto). lia.
        - unfold cost in C. assert (ends o = 0) as -> by lia. assert (fixed = 0) as -> by lia.
          assert (u * u * macs o <= u * u * cj) by (apply Nat.mul_le_mono_l; lia). lia. }
      assert ((v - 1) * val o <= v * val o) by (apply Nat.mul_le_mono_r; lia). lia.
    - assert (u * g * val o <= v * val o) by (apply Nat.mul_le_mono_r; lia). lia.
  Qed.

  (** (c) Top-down.  Of widths x of at least g the best part at c keeps u/v - 1/g. *)
  Lemma scale_part f c x y u v g : u <= v -> 0 < v -> (forall l, l < L -> 1 <= f l) ->
    restricts_net f c x y -> allowed f x x -> (forall l, l < L -> g <= x l) ->
    (forall l, l < L -> v * f l <= u * x l) ->
    u * u * macs x + u * v * ends x + v * v * fixed <= v * v * c ->
    u * g * val x <= v * g * val y + (v - 1) * val x.
  Proof.
    intros Huv Hv Hf (_ & _ & best) A G F C.
    destruct (cut_allowed f x u v x Huv Hv A F) as [A1 _].
    pose proof (cut_keeps u v g x Huv Hv (fun l Hl => Nat.le_trans _ _ _ (Hf l Hl) (proj1 (A l Hl))) G) as K.
    pose proof (best _ A1 (scale_cost u v x c Hv C)) as B.
    assert (v * g * val (cut u v x) <= v * g * val y) by (apply Nat.mul_le_mono_l; auto).
    rewrite Nat.mul_sub_distr_r in K. lia.
  Qed.

  (** Stage i keeps prod (u k/v k) - m/g of the optimum at the last capacity, m stages
      below it: the square roots telescope, the rounding adds up.                    *)
  Definition down_net f U (c : nat -> nat) N (D : nat -> nat -> nat) :=
    optimal_net f U (c N) (D N) /\ forall k, k < N -> restricts_net f (c k) (D (S k)) (D k).
  Fixpoint product (a : nat -> nat) (N m : nat) := match m with 0 => 1 | S k => a (N - S k) * product a N k end.

  Theorem scale_top_down f U c N D u v g m : (forall l, l < L -> 1 <= f l) ->
    down_net f U c N D -> m <= N ->
    (forall k, N - m <= k -> k < N -> u k <= v k /\ 0 < v k /\
       (forall l, l < L -> g <= D (S k) l /\ v k * f l <= u k * D (S k) l) /\
       u k * u k * macs (D (S k)) + u k * v k * ends (D (S k)) + v k * v k * fixed <= v k * v k * c k) ->
    product u N m * g * val (D N) <=
    product v N m * g * val (D (N - m)) + product v N m * m * val (D N).
  Proof.
    intros Hf [[[AN _] _] step].
    assert (in_N : forall i, i <= N -> allowed f (D (N - i)) (D (N - i)) /\ val (D (N - i)) <= val (D N)).
    { induction i as [|i IH]; intros Hi.
      - rewrite Nat.sub_0_r. split; [|lia]. intros l Hl. specialize (AN l Hl). lia.
      - destruct (IH ltac:(lia)) as [_ V]. destruct (step (N - S i) ltac:(lia)) as (R & _).
        replace (S (N - S i)) with (N - i) in R by lia. split.
        + intros l Hl. specialize (R l Hl). lia.
        + assert (val (D (N - S i)) <= val (D (N - i))) by (apply val_mono; intros l Hl; specialize (R l Hl); lia). lia. }
    induction m as [|m IH]; intros Hm H.
    - rewrite Nat.sub_0_r. simpl. lia.
    - specialize (IH ltac:(lia) ltac:(intros; apply H; lia)).
      destruct (H (N - S m) ltac:(lia) ltac:(lia)) as (Huv & Hv & W & C).
      destruct (in_N m ltac:(lia)) as [A VN].
      pose proof (step (N - S m) ltac:(lia)) as R.
      replace (S (N - S m)) with (N - m) in * by lia.
      pose proof (scale_part f (c (N - S m)) (D (N - m)) (D (N - S m)) (u (N - S m)) (v (N - S m)) g
        Huv Hv Hf R A (fun l Hl => proj1 (W l Hl)) (fun l Hl => proj2 (W l Hl)) C) as P.
      cbn [product].
      set (a := u (N - S m)) in *. set (b := v (N - S m)) in *. set (x := val (D (N - m))) in *.
      set (y := val (D (N - S m))) in *. set (V := val (D N)) in *. set (p := product u N m) in *.
      set (r := product v N m) in *. clearbody a b x y V p r.
      assert (P' : a * (g * x) <= b * (g * y) + b * V).
      { assert ((b - 1) * x <= b * V) by (apply Nat.mul_le_mono; lia). lia. }
      assert (I : a * (p * g * V) <= a * (r * g * x + r * m * V)) by (apply Nat.mul_le_mono_l; auto).
      assert (J : r * (a * (g * x)) <= r * (b * (g * y) + b * V)) by (apply Nat.mul_le_mono_l; auto).
      assert (T : a * (r * m * V) <= b * (r * m * V)) by (apply Nat.mul_le_mono_r; auto). lia.
  Qed.

  (** (d) Every group keeps its share, so every objective does that is monotone in what the
      groups keep and homogeneous of degree k: the sum (k = 1), the smallest (k = 1), the
      product (k = L; the logarithm) ...                                                 *)
  Theorem scale_group u v g n l : u <= v -> 0 < v -> 1 <= n l -> g <= n l ->
    (u * g - (v - 1)) * kept n l <= v * g * kept (cut u v n) l.
  Proof. intros Huv Hv H1 G. apply prefix_keeps; auto. apply cut_le; auto. apply cut_share; auto. Qed.

  Definition monotone_in (phi : (nat -> nat) -> nat) :=
    forall S T, (forall l, l < L -> S l <= T l) -> phi S <= phi T.
  Definition homogeneous (k : nat) (phi : (nat -> nat) -> nat) :=
    forall c S, phi (fun l => c * S l) = c ^ k * phi S.
  Definition best_by (phi : (nat -> nat) -> nat) f U C x :=
    affordable_net f U C x /\ forall y, affordable_net f U C y -> phi (kept y) <= phi (kept x).

  Theorem scale_bottom_up_any phi k f U c1 x1 xj o u v g :
    monotone_in phi -> homogeneous k phi ->
    u <= v -> 0 < v -> (forall l, l < L -> 1 <= f l) ->
    best_by phi f U c1 x1 -> (forall l, l < L -> x1 l <= xj l) ->
    allowed f U o -> (forall l, l < L -> g <= o l) -> (forall l, l < L -> v * f l <= u * o l) ->
    u * u * macs o + u * v * ends o + v * v * fixed <= v * v * c1 ->
    (u * g - (v - 1)) ^ k * phi (kept o) <= (v * g) ^ k * phi (kept xj).
  Proof.
    intros M H Huv Hv Hf [_ best] up A G F C.
    destruct (cut_allowed f U u v o Huv Hv A F) as [A1 _].
    pose proof (best (cut u v o) (conj A1 (scale_cost u v o c1 Hv C))) as B.
    pose proof (M _ _ (kept_mono x1 xj up)) as X.
    rewrite <- !H. apply Nat.le_trans with (phi (fun l => v * g * kept (cut u v o) l)).
    - apply M. intros l Hl. apply scale_group; auto. specialize (Hf l Hl). specialize (A l Hl). lia.
    - rewrite !H. apply Nat.mul_le_mono_l. lia.
  Qed.

  Fixpoint over (S : nat -> nat) (m : nat) := match m with 0 => 1 | Datatypes.S k => over S k * S k end.
  Definition geometric (S : nat -> nat) := over S L.

  Lemma over_mono S T m : (forall l, l < m -> S l <= T l) -> over S m <= over T m.
  Proof. induction m as [|m IH]; intros H; simpl; [lia|]. apply Nat.mul_le_mono; auto. Qed.
  Lemma over_times c S m : over (fun l => c * S l) m = c ^ m * over S m.
  Proof. induction m as [|m IH]; simpl; [lia|]. rewrite IH. lia. Qed.

  (** The geometric mean, what a logarithmic certificate compares: its L-th power. *)
  Corollary scale_geometric f U c1 x1 xj o u v g :
    u <= v -> 0 < v -> (forall l, l < L -> 1 <= f l) ->
    best_by geometric f U c1 x1 -> (forall l, l < L -> x1 l <= xj l) ->
    allowed f U o -> (forall l, l < L -> g <= o l) -> (forall l, l < L -> v * f l <= u * o l) ->
    u * u * macs o + u * v * ends o + v * v * fixed <= v * v * c1 ->
    (u * g - (v - 1)) ^ L * geometric (kept o) <= (v * g) ^ L * geometric (kept xj).
  Proof.
    apply scale_bottom_up_any.
    - intros S T H. apply over_mono. auto.
    - intros c S. apply over_times.
  Qed.

  (** ... and the loss of CES, sum of a_l / kept_l^e, is at most (s/q)^e times as large. *)
  Section Ces.
    Variable a : nat -> nat.
    Variable e : nat.
    Definition to_Q (n : nat) : Q := inject_Z (Z.of_nat n).
    Fixpoint loss_over (S : nat -> nat) (m : nat) : Q :=
      match m with 0 => 0%Q | Datatypes.S k => (loss_over S k + to_Q (a k) / to_Q (S k ^ e))%Q end.
    Definition loss (S : nat -> nat) := loss_over S L.

    Lemma to_Q_le m n : m <= n -> (to_Q m <= to_Q n)%Q.
    Proof. intros H. unfold to_Q. rewrite <- Zle_Qle. lia. Qed.
    Lemma to_Q_pos n : 1 <= n -> (0 < to_Q n)%Q.
    Proof. intros H. unfold to_Q. change 0%Q with (inject_Z 0). rewrite <- Zlt_Qlt. lia. Qed.
    Lemma to_Q_mul m n : (to_Q (m * n) == to_Q m * to_Q n)%Q.
    Proof. unfold to_Q. rewrite Nat2Z.inj_mul, inject_Z_mult. reflexivity. Qed.
    Lemma pow_pos c k : 1 <= c -> 1 <= c ^ k.
    Proof. intros H. assert (c ^ k <> 0) by (apply Nat.pow_nonzero; lia). lia. Qed.

    (** Where q S <= s T, term by term. *)
    Lemma loss_term q s x y A : 1 <= q -> 1 <= s -> 1 <= x -> 1 <= y -> q * x <= s * y ->
      (to_Q (q ^ e) * (to_Q A / to_Q (y ^ e)) <= to_Q (s ^ e) * (to_Q A / to_Q (x ^ e)))%Q.
    Proof.
      intros Hq Hs Hx Hy H.
      assert (P : (to_Q (q ^ e) * to_Q (x ^ e) <= to_Q (s ^ e) * to_Q (y ^ e))%Q).
      { rewrite <- !to_Q_mul. apply to_Q_le. rewrite <- !Nat.pow_mul_l. apply Nat.pow_le_mono_l. auto. }
      pose proof (to_Q_pos (x ^ e) (pow_pos x e Hx)) as X. pose proof (to_Q_pos (y ^ e) (pow_pos y e Hy)) as Y.
      assert (N : (0 <= to_Q A)%Q) by (apply (to_Q_le 0); lia).
      set (qe := to_Q (q ^ e)) in *. set (se := to_Q (s ^ e)) in *. set (xe := to_Q (x ^ e)) in *.
      set (ye := to_Q (y ^ e)) in *. set (B := to_Q A) in *. clearbody qe se xe ye B.
      assert (E1 : (qe * (B / ye) == (qe * xe) * (B / (xe * ye)))%Q)
        by (field; split; intros Z; rewrite Z in *; discriminate).
      assert (E2 : (se * (B / xe) == (se * ye) * (B / (xe * ye)))%Q)
        by (field; split; intros Z; rewrite Z in *; discriminate).
      rewrite E1, E2. apply Qmult_le_compat_r; auto.
      apply Qle_shift_div_l; [apply Qmult_lt_0_compat; auto|]. rewrite Qmult_0_l. auto.
    Qed.

    Lemma loss_keeps q s S T m : 1 <= q -> 1 <= s -> (forall l, l < m -> 1 <= S l /\ 1 <= T l /\ q * S l <= s * T l) ->
      (to_Q (q ^ e) * loss_over T m <= to_Q (s ^ e) * loss_over S m)%Q.
    Proof.
      intros Hq Hs. induction m as [|m IH]; intros H; simpl; [rewrite !Qmult_0_r; apply Qle_refl|].
      rewrite !Qmult_plus_distr_r. apply Qplus_le_compat.
      - apply IH. intros; apply H; lia.
      - destruct (H m ltac:(lia)) as (H1 & H2 & H3). apply loss_term; auto.
    Qed.

    Theorem scale_ces f U c1 x1 xj o u v g :
      (forall l, l < L -> 1 <= d l 0) ->
      u <= v -> 0 < v -> v <= u * g -> (forall l, l < L -> 1 <= f l) ->
      affordable_net f U c1 x1 -> (forall y, affordable_net f U c1 y -> (loss (kept x1) <= loss (kept y))%Q) ->
      (forall l, l < L -> x1 l <= xj l) ->
      allowed f U o -> (forall l, l < L -> g <= o l) -> (forall l, l < L -> v * f l <= u * o l) ->
      u * u * macs o + u * v * ends o + v * v * fixed <= v * v * c1 ->
      (to_Q ((u * g - (v - 1)) ^ e) * loss (kept xj) <= to_Q ((v * g) ^ e) * loss (kept o))%Q.
    Proof.
      intros D0 Huv Hv Hug Hf [AX _] best up A G F C.
      destruct (cut_allowed f U u v o Huv Hv A F) as [A1 _].
      assert (pos : forall n, (forall l, l < L -> 1 <= n l) -> forall l, l < L -> 1 <= kept n l).
      { intros n H l Hl. apply Nat.le_trans with (prefix_profit (d l) 1).
        - unfold prefix_profit. simpl. specialize (D0 l Hl). lia.
        - apply prefix_profit_increasing. auto. }
      assert (P1 : forall l, l < L -> 1 <= kept x1 l) by (apply pos; intros l Hl; specialize (Hf l Hl); specialize (AX l Hl); lia).
      assert (Po : forall l, l < L -> 1 <= kept o l) by (apply pos; intros l Hl; specialize (Hf l Hl); specialize (A l Hl); lia).
      assert (Pc : forall l, l < L -> 1 <= kept (cut u v o) l) by (apply pos; intros l Hl; specialize (Hf l Hl); specialize (A1 l Hl); lia).
      assert (Pj : forall l, l < L -> 1 <= kept xj l).
      { intros l Hl. specialize (P1 l Hl). pose proof (kept_mono x1 xj up l Hl). lia. }
      pose proof (best (cut u v o) (conj A1 (scale_cost u v o c1 Hv C))) as B.
      assert (X : (loss (kept xj) <= loss (kept x1))%Q).
      { pose proof (loss_keeps 1 1 (kept x1) (kept xj) L ltac:(lia) ltac:(lia)) as K.
        rewrite Nat.pow_1_l in K. change (to_Q 1) with 1%Q in K. rewrite !Qmult_1_l in K. apply K.
        intros l Hl. pose proof (kept_mono x1 xj up l Hl). specialize (P1 l Hl). specialize (Pj l Hl). lia. }
      set (q := u * g - (v - 1)) in *. set (s := v * g) in *.
      assert (Hq : 1 <= q) by (unfold q; lia).
      assert (1 <= s). { unfold s. destruct g; [lia|]. apply Nat.mul_pos_pos; lia. }
      apply Qle_trans with (to_Q (q ^ e) * loss (kept (cut u v o)))%Q.
      - rewrite !(Qmult_comm (to_Q (q ^ e))). apply Qmult_le_compat_r; [eapply Qle_trans; eauto|].
        apply Qlt_le_weak. apply to_Q_pos. apply pow_pos. auto.
      - apply loss_keeps; auto. intros l Hl. split; [auto|split; [auto|]].
        apply scale_group; auto. specialize (Hf l Hl). specialize (A l Hl). lia.
    Qed.
  End Ces.

  (** (g) Floors.  Divided, but not below the floors: kept where it fits. *)
  Theorem scale_floor f U c1 x1 xj o u v q s :
    u <= v -> 0 < v -> (forall l, l < L -> 1 <= f l) ->
    optimal_net f U c1 x1 -> (forall l, l < L -> x1 l <= xj l) -> allowed f U o ->
    cost (cut_to f u v o) <= c1 -> (forall l, l < L -> q * o l <= s * cut_to f u v o l) ->
    q * val o <= s * val xj.
  Proof.
    intros Huv Hv Hf [_ best] up A C Q.
    assert (I : forall l, l < L -> f l <= cut_to f u v o l /\ cut_to f u v o l <= o l).
    { intros l Hl. unfold cut_to. pose proof (cut_le u v o l Huv Hv). specialize (A l Hl). lia. }
    assert (B : val (cut_to f u v o) <= val x1).
    { apply best. split; auto. intros l Hl. specialize (I l Hl). specialize (A l Hl). lia. }
    pose proof (val_mono x1 xj up).
    assert (q * val o <= s * val (cut_to f u v o)).
    { apply val_keeps; auto; intros l Hl; specialize (I l Hl); specialize (Hf l Hl); lia. }
    assert (s * val (cut_to f u v o) <= s * val xj) by (apply Nat.mul_le_mono_l; lia). lia.
  Qed.

  (** Always: of what is above the floors the share (c1 - F)/(cj - F) fits, F the cost of
      the floors, because a product is convex from the floors up.                      *)
  Theorem cost_above_floor f u v n : u <= v -> 0 < v -> (forall l, f l <= n l) ->
    v * cost (cut_above f u v n) <= (v - u) * cost f + u * cost n.
  Proof.
    intros Huv Hv H. assert (exists w, v = u + w) as [w E] by (exists (v - u); lia).
    replace (v - u) with w by lia.
    assert (Z : forall l, exists y z, n l = f l + y /\ cut_above f u v n l = f l + z /\ v * z <= u * y /\ z <= y).
    { intros l. exists (n l - f l), (u * (n l - f l) / v). specialize (H l). repeat split; [lia| |].
      - apply Nat.mul_div_le. lia.
      - apply Nat.div_le_upper_bound; [lia|]. apply Nat.mul_le_mono_r. auto. }
    assert (M : v * macs (cut_above f u v n) <= w * macs f + u * macs n).
    { unfold macs. induction pairs as [|[[c i] j] T IH]; simpl; [lia|].
      destruct (Z i) as (y1 & z1 & -> & -> & a1 & b1). destruct (Z j) as (y2 & z2 & -> & -> & a2 & b2).
      assert (P : v * ((f i + z1) * (f j + z2)) <= w * (f i * f j) + u * ((f i + y1) * (f j + y2))).
      { assert (f i * (v * z2) <= f i * (u * y2)) by (apply Nat.mul_le_mono_l; auto).
        assert (f j * (v * z1) <= f j * (u * y1)) by (apply Nat.mul_le_mono_l; auto).
        assert ((v * z1) * z2 <= (u * y1) * y2) by (apply Nat.mul_le_mono; auto).
        assert (v * (f i * f j) = u * (f i * f j) + w * (f i * f j)) by (rewrite E; lia). lia. }
      assert (c * (v * ((f i + z1) * (f j + z2))) <= c * (w * (f i * f j) + u * ((f i + y1) * (f j + y2))))
        by (apply Nat.mul_le_mono_l; auto). lia. }
    assert (S1 : v * ends (cut_above f u v n) <= w * ends f + u * ends n).
    { unfold ends. induction singles as [|[c i] T IH]; simpl; [lia|].
      destruct (Z i) as (y1 & z1 & -> & -> & a1 & b1).
      assert (v * f i = u * f i + w * f i) by (rewrite E; lia).
      assert (c * (v * (f i + z1)) <= c * (w * f i + u * (f i + y1))) by (apply Nat.mul_le_mono_l; lia). lia. }
    unfold cost. assert (v * fixed = w * fixed + u * fixed) by (rewrite E; lia). lia.
  Qed.

  Theorem val_above_floor f n m q s : (forall l, l < L -> f l <= m l /\ m l <= n l) ->
    (forall l, l < L -> q * (n l - f l) <= s * (m l - f l)) ->
    q * val n + s * val f <= s * val m + q * val f.
  Proof.
    intros I Q.
    assert (G : forall l, l < L -> q * kept n l + s * kept f l <= s * kept m l + q * kept f l).
    { intros l Hl. specialize (I l Hl). specialize (Q l Hl). unfold kept.
      assert (exists y z, n l = f l + y /\ m l = f l + z /\ z <= y) as (y & z & En & Em & zy)
        by (exists (n l - f l), (m l - f l); clear Q; lia).
      rewrite En, Em in *. replace (f l + y - f l) with y in Q by lia. replace (f l + z - f l) with z in Q by lia.
      rewrite !prefix_profit_shift. destruct (Nat.eq_dec y 0) as [Ey|Ny].
      - assert (Ez : z = 0) by (clear Q; lia). rewrite Ey, Ez. unfold prefix_profit at 2 5. simpl. lia.
      - assert (q * prefix_profit (fun i => d l (f l + i)) y <= s * prefix_profit (fun i => d l (f l + i)) z).
        { apply prefix_keeps; auto; [|clear Q; lia]. intros i j Hij. apply sorted. clear Q; lia. } lia. }
    unfold val. clear Q I. induction L as [|k IH]; simpl; [lia|].
    specialize (IH ltac:(intros; apply G; lia)). specialize (G k ltac:(lia)). lia.
  Qed.

  (** Bottom-up above the floors, for every u/v <= (c1 - F)/(cj - F). *)
  Theorem scale_above_floor f U c1 cj x1 xj o u v q s :
    u <= v -> 0 < v -> optimal_net f U c1 x1 -> (forall l, l < L -> x1 l <= xj l) ->
    allowed f U o -> (forall l, f l <= o l) -> cost o <= cj ->
    (v - u) * cost f + u * cj <= v * c1 ->
    (forall l, l < L -> q * (o l - f l) <= s * (u * (o l - f l) / v)) ->
    q * val o + s * val f <= s * val xj + q * val f.
  Proof.
    intros Huv Hv [_ best] up A F C R Q. set (m := cut_above f u v o).
    assert (I : forall l, f l <= m l /\ m l <= o l).
    { intros l. unfold m, cut_above. specialize (F l).
      assert (u * (o l - f l) / v <= o l - f l) by (apply Nat.div_le_upper_bound; [lia|]; apply Nat.mul_le_mono_r; auto).
      lia. }
    assert (fits : cost m <= c1).
    { pose proof (cost_above_floor f u v o Huv Hv F) as K.
      assert (u * cost o <= u * cj) by (apply Nat.mul_le_mono_l; auto).
      apply (Nat.mul_le_mono_pos_l _ _ v); [auto|]. fold m in K. lia. }
    assert (B : val m <= val x1).
    { apply best. split; auto. intros l Hl. specialize (I l). specialize (A l Hl). lia. }
    pose proof (val_mono x1 xj up).
    assert (K : q * val o + s * val f <= s * val m + q * val f).
    { apply val_above_floor; auto. intros l Hl. unfold m, cut_above.
      replace (f l + u * (o l - f l) / v - f l) with (u * (o l - f l) / v) by lia. apply Q. auto. }
    assert (s * val m <= s * val xj) by (apply Nat.mul_le_mono_l; lia). lia.
  Qed.

  (** (e) Uniform widths: all full widths times u/v keep u/v of EVERY group, less rounding. *)
  Theorem uniform_keeps U u v g : u <= v -> 0 < v -> 1 <= g -> (forall l, l < L -> g <= U l) ->
    v * v * macs (cut u v U) <= u * u * macs U /\
    forall l, l < L -> (u * g - (v - 1)) * kept U l <= v * g * kept (cut u v U) l.
  Proof.
    intros Huv Hv Hg G. split; [apply macs_cut; auto|]. intros l Hl. specialize (G l Hl).
    apply scale_group; auto. lia.
  Qed.
End Net.

(** ** Worst cases *)
Definition alike (p : nat -> nat) (l : nat) (_ : nat) := p l.
Lemma prefix_profit_alike p l n : prefix_profit (alike p l) n = p l * n.
Proof. unfold prefix_profit, alike. induction n as [|n IH]; simpl; [lia|]. rewrite IH. simpl. lia. Qed.
Lemma alike_sorted p l : descending (alike p l).
Proof. intros i j _. unfold alike. lia. Qed.

(** Uniform widths are the best for the group that keeps least: two layers of v m alike
    units each.  They cost exactly (u/v)^2 and keep exactly u/v; whatever costs no more
    keeps at most u/v of one of the two.                                             *)
Theorem uniform_sharp u v m : 0 < v -> 1 <= m ->
  let pairs := [(1, 0, 1)] in let d := alike (fun _ => 1) in let U := fun _ : nat => v * m in
  (forall l, v * kept d (cut u v U) l = u * kept d U l) /\
  v * v * macs pairs (cut u v U) = u * u * macs pairs U /\
  forall n, v * v * macs pairs n <= u * u * macs pairs U ->
    exists l, l < 2 /\ v * kept d n l <= u * kept d U l.
Proof.
  intros Hv Hm. cbv zeta. unfold macs, kept, cut. cbn [fold_right].
  assert (E : u * (v * m) / v = u * m).
  { replace (u * (v * m)) with (u * m * v) by lia. apply Nat.div_mul. lia. }
  rewrite E. split; [intros l; rewrite !prefix_profit_alike; lia|]. split; [lia|].
  intros n H. rewrite !Nat.mul_1_l, !Nat.add_0_r in H.
  destruct (le_lt_dec (v * n 0) (u * (v * m))) as [A|A]; [exists 0; rewrite !prefix_profit_alike; lia|].
  destruct (le_lt_dec (v * n 1) (u * (v * m))) as [B|B]; [exists 1; rewrite !prefix_profit_alike; lia|].
  exfalso. assert (S (u * (v * m)) * S (u * (v * m)) <= (v * n 0) * (v * n 1)) by (apply Nat.mul_le_mono; lia). lia.
Qed.

(** The square root cannot be raised.  Layer 0 reads and writes one group of t K units,
    layer 1 has K^2 - 1 units on top: cost x^2 + x y.  All of layer 1 on one unit of
    layer 0 is optimal at K^2, and leaves room for t^2 units of layer 0 at (t K)^2, where
    the optimum is about t K of them.                                                  *)
Definition ladder (K g l i : nat) := if l =? 0 then K else if i <? g then K * g + 1 else 1.
Definition ladder_pairs := [(1, 0, 0); (1, 0, 1)].
Definition ladder_full (K t l : nat) := if l =? 0 then t * K else K * K - 1.

Lemma ladder_sorted K g l : descending (ladder K g l).
Proof.
  intros i j H. unfold ladder. destruct (l =? 0); [lia|].
  destruct (Nat.ltb_spec i g), (Nat.ltb_spec j g); lia.
Qed.
Lemma ladder_first K g n : prefix_profit (ladder K g 0) n = K * n.
Proof. unfold prefix_profit. induction n as [|n IH]; simpl; [lia|]. rewrite IH. unfold ladder. simpl. lia. Qed.
Lemma ladder_second K g n : prefix_profit (ladder K g 1) n = n + K * g * Nat.min n g.
Proof.
  unfold prefix_profit. induction n as [|n IH]; [simpl; lia|]. cbn [tot]. change (every n) with true. cbv iota.
  rewrite IH. unfold ladder. cbn [Nat.eqb]. destruct (Nat.ltb_spec n g).
  - replace (Nat.min n g) with n by lia. replace (Nat.min (S n) g) with (S n) by lia. lia.
  - replace (Nat.min n g) with g by lia. replace (Nat.min (S n) g) with g by lia. lia.
Qed.
Lemma ladder_val K g n : val 2 (ladder K g) n = K * n 0 + n 1 + K * g * Nat.min (n 1) g.
Proof. unfold val, kept. simpl. rewrite ladder_first, ladder_second. lia. Qed.
Lemma ladder_cost n : cost ladder_pairs [] 0 n = n 0 * n 0 + n 0 * n 1.
Proof. unfold cost, macs, ends, ladder_pairs. simpl. lia. Qed.

Theorem scale_ladder K g t : 1 <= g -> 2 <= t -> 2 * g < K ->
  let d := ladder K g in let U := ladder_full K t in
  let x1 := fun l => if l =? 0 then 1 else K * K - 1 in
  optimal_net 2 d ladder_pairs [] 0 floor_one U (K * K) x1 /\
  (forall xj, (forall l, l < 2 -> x1 l <= xj l) -> affordable_net 2 ladder_pairs [] 0 floor_one U (t * K * (t * K)) xj ->
     val 2 d xj <= K * (t * t) + K * K + K * g * g) /\
  forall o, optimal_net 2 d ladder_pairs [] 0 floor_one U (t * K * (t * K)) o ->
     (forall l, l < 2 -> g <= o l) /\ K * (t * K) + K * g * g <= val 2 d o + K * g.
Proof.
  intros Hg Ht HK. cbv zeta.
  assert (KK : 2 * g * K < K * K) by (apply Nat.mul_lt_mono_pos_r; lia).
  assert (gg : g * g <= g * K) by (apply Nat.mul_le_mono_l; lia).
  assert (gK : g < K * K - 1).
  { assert (3 * K <= K * K) by (apply Nat.mul_le_mono_r; lia). lia. }
  assert (tK : 2 * K <= t * K) by (apply Nat.mul_le_mono_r; auto).
  split; [|split].
  - split.
    + split; [|rewrite ladder_cost; simpl; lia].
      intros l Hl. unfold floor_one, ladder_full. destruct (l =? 0); lia.
    + intros y [A C]. rewrite ladder_cost in C. rewrite !ladder_val. simpl.
      pose proof (A 0 ltac:(lia)) as [A0 _]. pose proof (A 1 ltac:(lia)) as [A1 B1].
      unfold floor_one, ladder_full in *. simpl in B1.
      set (x := y 0) in *. set (z := y 1) in *. clearbody x z.
      replace (Nat.min (K * K - 1) g) with g by lia.
      assert (K * g * Nat.min z g <= K * g * g) by (apply Nat.mul_le_mono_l; lia).
      assert (K * x + z + 1 <= K + K * K); [|lia].
      assert (exists e, x = 1 + e) as [e ->] by (exists (x - 1); lia).
      assert (xK : 1 + e <= K).
      { destruct (le_lt_dec (1 + e) K) as [|T]; auto. exfalso.
        assert (S K * S K <= (1 + e) * (1 + e)) by (apply Nat.mul_le_mono; lia). lia. }
      assert (exists r, K = 1 + e + r) as [r ->] by (exists (K - (1 + e)); lia).
      apply (Nat.mul_le_mono_pos_l _ _ (1 + e)); [lia|].
      assert (0 <= e * r) by lia. assert (0 <= e * (r * r)) by lia. assert (0 <= e * e) by lia.
      assert (0 <= e * (e * r)) by lia. lia.
  - intros xj up [A C]. rewrite ladder_cost in C. rewrite ladder_val.
    pose proof (up 1 ltac:(lia)) as u1. simpl in u1. pose proof (A 1 ltac:(lia)) as [_ B1].
    unfold ladder_full in B1. simpl in B1. assert (E1 : xj 1 = K * K - 1) by lia. rewrite E1 in *.
    replace (Nat.min (K * K - 1) g) with g by lia.
    set (x := xj 0) in *. clearbody x.
    assert (X : x <= t * t).
    { destruct (le_lt_dec x (t * t)) as [|T]; auto. exfalso.
      assert (S (t * t) * (S (t * t) + (K * K - 1)) <= x * (x + (K * K - 1))) by (apply Nat.mul_le_mono; lia).
      set (s := t * t) in *. assert (t * K * (t * K) = s * (K * K)) by (unfold s; lia).
      assert (exists k, K * K = S k) as [k Ek] by (exists (K * K - 1); lia). rewrite Ek in *.
      replace (S k - 1) with k in * by lia. lia. }
    assert (K * x <= K * (t * t)) by (apply Nat.mul_le_mono_l; auto). lia.
  - intros o [[A C] best]. rewrite ladder_cost in C.
    pose proof (A 0 ltac:(lia)) as [A0 B0]. pose proof (A 1 ltac:(lia)) as [A1 B1].
    unfold floor_one, ladder_full in A0, A1, B0, B1. simpl in B0, B1.
    assert (try : forall a b, 1 <= a -> a <= t * K -> 1 <= b -> b <= K * K - 1 -> a * a + a * b <= t * K * (t * K) ->
              K * a + b + K * g * Nat.min b g <= val 2 (ladder K g) o).
    { intros a b Ha Ha' Hb Hb' Hc.
      pose proof (best (fun l => if l =? 0 then a else b)) as T. rewrite ladder_val in T. simpl in T. apply T.
      split; [|rewrite ladder_cost; simpl; auto].
      intros l Hl. unfold floor_one, ladder_full. destruct (l =? 0); lia. }
    assert (big : K * (t * K - g) + g + K * g * g <= val 2 (ladder K g) o).
    { assert (exists r, t * K = g + r) as [r Er] by (exists (t * K - g); lia).
      pose proof (try (t * K - g) g ltac:(lia) ltac:(lia) ltac:(lia) ltac:(lia)) as T.
      rewrite Nat.min_id in T. apply T. rewrite Er. replace (g + r - g) with r by lia.
      assert (0 <= g * g) by lia. lia. }
    assert (low : K * (t * K) + K * g * g <= val 2 (ladder K g) o + K * g).
    { rewrite Nat.mul_sub_distr_l in big. assert (K * g <= K * (t * K)) by (apply Nat.mul_le_mono_l; lia). lia. }
    split; [|exact low].
    rewrite ladder_val in *. set (x := o 0) in *. set (z := o 1) in *.
    assert (tKK : 2 * K * K <= K * (t * K)) by (assert (K * (2 * K) <= K * (t * K)) by (apply Nat.mul_le_mono_l; auto); lia).
    assert (Hx : g < x).
    { destruct (le_lt_dec x g) as [T|]; auto. exfalso.
      assert (K * x <= K * g) by (apply Nat.mul_le_mono_l; auto).
      assert (K * g * Nat.min z g <= K * g * g) by (apply Nat.mul_le_mono_l; lia). lia. }
    assert (Hz : g <= z).
    { destruct (le_lt_dec g z) as [|T]; auto. exfalso.
      assert (exists r, x = g + r) as [r Er] by (exists (x - g); lia).
      pose proof (try r g ltac:(lia) ltac:(lia) ltac:(lia) ltac:(lia)) as Y. rewrite Nat.min_id in Y.
      assert (Y' : K * r + g + K * g * g <= K * x + z + K * g * Nat.min z g).
      { apply Y. assert (r * r + r * g <= x * x) by (rewrite Er; lia). assert (x * x <= x * x + x * z) by lia. lia. }
      replace (Nat.min z g) with z in Y' by lia.
      assert (exists e, g = z + 1 + e) as [e Ee] by (exists (g - z - 1); lia).
      assert (K * g * (z + 1) <= K * g * g) by (apply Nat.mul_le_mono_l; lia).
      rewrite Er in Y'. lia. }
    intros l Hl. destruct l as [|[|l]]; [fold x; lia|fold z; lia|lia].
Qed.

(** Hence no fraction h/k above 1/t is kept of OPT(t^2 c1), even if every width of every
    optimum is at least g, whatever g is.                                             *)
Corollary scale_bottom_up_sharp g t h k : 1 <= g -> 2 <= t -> k < t * h ->
  exists d U c1 x1, (forall l, descending (d l)) /\
    optimal_net 2 d ladder_pairs [] 0 floor_one U c1 x1 /\
    forall xj o, (forall l, l < 2 -> x1 l <= xj l) ->
      affordable_net 2 ladder_pairs [] 0 floor_one U (t * t * c1) xj ->
      optimal_net 2 d ladder_pairs [] 0 floor_one U (t * t * c1) o ->
      (forall l, l < 2 -> g <= o l) /\ k * val 2 d xj < h * val 2 d o.
Proof.
  intros Hg Ht H. set (K := k * (t * t) + k * (g * g) + h * g + 2 * g + 1).
  destruct (scale_ladder K g t Hg Ht ltac:(unfold K; lia)) as (h1 & h2 & h3). cbv zeta in *.
  exists (ladder K g), (ladder_full K t), (K * K), (fun l => if l =? 0 then 1 else K * K - 1).
  split; [intros l; apply ladder_sorted|]. split; [exact h1|]. intros xj o up A O.
  replace (t * t * (K * K)) with (t * K * (t * K)) in * by lia.
  destruct (h3 o O) as [W B]. split; [exact W|]. pose proof (h2 xj up A) as C.
  set (V := val 2 (ladder K g) xj) in *. set (B' := val 2 (ladder K g) o) in *.
  assert (C1 : k * V <= k * (K * (t * t) + K * K + K * g * g)) by (apply Nat.mul_le_mono_l; auto).
  assert (B1 : h * (K * (t * K) + K * g * g) <= h * (B' + K * g)) by (apply Nat.mul_le_mono_l; auto).
  assert (M : (k + 1) * (K * K) <= t * h * (K * K)) by (apply Nat.mul_le_mono_r; lia).
  assert (E : K * K = k * (t * t) * K + k * (g * g) * K + h * g * K + 2 * g * K + K) by (unfold K at 1; lia).
  assert (0 < K) by (unfold K; lia). assert (0 <= h * (K * g * g)) by lia. assert (0 <= 2 * g * K) by lia.
  clearbody K V B'. lia.
Qed.

(** Floors matter.  The family of [bilinear_bottom_up_family] with every width times g:
    layer 0 has K g units worth q+1, layer 1 has j K g units worth q, floors g.        *)
Theorem floor_family g K j q : 1 <= g -> 2 <= K -> 2 <= j -> K * g <= q ->
  let d := alike (fun l => if l =? 0 then q + 1 else q) in let pairs := [(1, 0, 1)] in
  let f := fun _ : nat => g in let U := fun l => if l =? 0 then K * g else j * (K * g) in
  let x1 := fun l => if l =? 0 then K * g else g in let o := fun l => if l =? 0 then g else j * (K * g) in
  optimal_net 2 d pairs [] 0 f U (g * (K * g)) x1 /\
  (forall xj, (forall l, l < 2 -> x1 l <= xj l) -> affordable_net 2 pairs [] 0 f U (j * (g * (K * g))) xj ->
     val 2 d xj <= (q + 1) * (K * g) + q * (j * g)) /\
  optimal_net 2 d pairs [] 0 f U (j * (g * (K * g))) o /\
  val 2 d o = (q + 1) * g + q * (j * (K * g)).
Proof.
  intros Hg HK Hj Hq. cbv zeta.
  assert (V : forall n, val 2 (alike (fun l => if l =? 0 then q + 1 else q)) n = (q + 1) * n 0 + q * n 1).
  { intros n. unfold val, kept. simpl. rewrite !prefix_profit_alike. simpl. lia. }
  assert (C : forall n, cost [(1, 0, 1)] [] 0 n = n 0 * n 1) by (intros n; unfold cost, macs, ends; simpl; lia).
  assert (Kg : 2 * g <= K * g) by (apply Nat.mul_le_mono_r; auto).
  assert (jKg : 2 * (K * g) <= j * (K * g)) by (apply Nat.mul_le_mono_r; auto).
  split; [|split; [|split]].
  - split.
    + split; [|rewrite C; simpl; lia]. intros l Hl. destruct (l =? 0); lia.
    + intros y [A R]. rewrite C in R. rewrite !V. simpl.
      pose proof (A 0 ltac:(lia)) as [a1 a2]. pose proof (A 1 ltac:(lia)) as [b1 _]. simpl in a2.
      set (a := y 0) in *. set (b := y 1) in *. clearbody a b.
      assert (exists r, a = g + r) as [r ->] by (exists (a - g); lia).
      assert (exists s, b = g + s) as [s ->] by (exists (b - g); lia).
      assert (T : g + r + (g + s) <= K * g + g).
      { apply (Nat.mul_le_mono_pos_l _ _ g); [lia|]. assert (0 <= r * s) by lia. lia. }
      assert (q * (g + r + (g + s)) <= q * (K * g + g)) by (apply Nat.mul_le_mono_l; auto). lia.
  - intros y up [A R]. rewrite C in R. rewrite V.
    pose proof (up 0 ltac:(lia)) as u0. pose proof (A 0 ltac:(lia)) as [_ a2]. simpl in u0, a2.
    assert (E : y 0 = K * g) by lia. rewrite E in *. set (b := y 1) in *. clearbody b.
    assert (b <= j * g).
    { apply (Nat.mul_le_mono_pos_l _ _ (K * g)); lia. }
    assert (q * b <= q * (j * g)) by (apply Nat.mul_le_mono_l; auto). lia.
  - split.
    + split; [|rewrite C; simpl; lia]. intros l Hl. destruct (l =? 0); lia.
    + intros y [A R]. rewrite C in R. rewrite !V. simpl.
      pose proof (A 0 ltac:(lia)) as [a1 a2]. pose proof (A 1 ltac:(lia)) as [b1 b2]. simpl in a2, b2.
      set (a := y 0) in *. set (b := y 1) in *. clearbody a b.
      destruct (Nat.eq_dec a g) as [->|Na].
      { assert (q * b <= q * (j * (K * g))) by (apply Nat.mul_le_mono_l; lia). lia. }
      destruct (Nat.eq_dec b g) as [->|Nb].
      { assert ((q + 1) * a <= (q + 1) * (K * g)) by (apply Nat.mul_le_mono_l; auto).
        assert (q * (2 * (K * g)) <= q * (j * (K * g))) by (apply Nat.mul_le_mono_l; auto).
        assert (1 * (K * g) <= q * (K * g)) by (apply Nat.mul_le_mono_r; lia). lia. }
      assert (exists r, a = g + S r) as [r Er] by (exists (a - g - 1); lia).
      assert (exists s, b = g + S s) as [s Es] by (exists (b - g - 1); lia).
      assert (T : S (a + b) <= g + j * (K * g)).
      { apply Nat.le_succ_l, (Nat.mul_lt_mono_pos_l g); [lia|].
        assert (0 <= r * s) by lia. subst a b. lia. }
      assert (q * S (a + b) <= q * (g + j * (K * g))) by (apply Nat.mul_le_mono_l; auto). lia.
  - rewrite V. simpl. lia.
Qed.

(** With floors 9 the optimum at 16 c1 has widths of at least 9, and bottom-up keeps less
    than 1/4 - (3/4)/9 of it: the divided widths would be below the floors.             *)
Theorem floor_breaks_scaling : exists d pairs f U c1 x1 o,
  (forall l, descending (d l)) /\
  optimal_net 2 d pairs [] 0 f U c1 x1 /\ optimal_net 2 d pairs [] 0 f U (16 * c1) o /\
  (forall l, l < 2 -> 9 <= o l) /\
  forall xj, (forall l, l < 2 -> x1 l <= xj l) -> affordable_net 2 pairs [] 0 f U (16 * c1) xj ->
    4 * 9 * val 2 d xj + 3 * val 2 d o < 1 * 9 * val 2 d o.
Proof.
  destruct (floor_family 9 16 16 144) as (h1 & h2 & h3 & h4); [lia|lia|lia|lia|].
  cbv zeta in *.
  exists (alike (fun l => if l =? 0 then 144 + 1 else 144)), [(1, 0, 1)], (fun _ => 9),
    (fun l => if l =? 0 then 16 * 9 else 16 * (16 * 9)), (9 * (16 * 9)),
    (fun l => if l =? 0 then 16 * 9 else 9), (fun l => if l =? 0 then 9 else 16 * (16 * 9)).
  split; [intros l; apply alike_sorted|]. split; [exact h1|]. split; [exact h3|]. split.
  - intros l Hl. destruct (l =? 0); lia.
  - intros xj up A. specialize (h2 xj up A). rewrite h4.
    set (V := val 2 _ xj) in *. clearbody V. lia.
Qed.
