(** * NetworkExamples.v -- the layers that the theorems of Network.v and Programs.v are about

    Dense layers, batches of images with convolutions and batch normalisation in training,
    residual connections, squeeze-and-excite, concatenation, grouped convolutions, derivatives;
    and what goes wrong otherwise.                                                        *)
From Coq Require Import Arith ZArith List Permutation Lia Bool Setoid Morphisms.
Require Import Network Programs.
Import ListNotations.
#[local] Open Scope Z_scope.

(** ** Numbers as channels: dense layers with batch normalisation *)
Definition numbers : features.
Proof.
  refine {| car := Z; eqv := eq; zero := 0; add := Z.add |}; intros; lia.
Defined.

(** A dense layer with weights [A], bias [b], batch normalisation with stored statistics
    ([gamma], [mean], [istd] = 1/sqrt(variance + eps), [beta]) and activation [act]. *)
Definition dense (h : axis) (A : channel -> channel -> Z) (b gamma istd mean beta : channel -> Z)
    (act : Z -> Z) : net numbers :=
  Seq (Mix (F := numbers) h (fun o i x => A o i * x))
      (Each (F := numbers) (fun o z => act (gamma o * (z + b o - mean o) * istd o + beta o))).

(** What [permute] does to it: the rows and columns of the weights, and every vector of
    the layer, mean and deviation included, follow the permutation of the group. *)
Theorem dense_permute s g h A b gamma istd mean beta act :
  permute s g (dense h A b gamma istd mean beta act) =
  dense h (fun o i => A (move s h o) (move s g i)) (fun o => b (move s h o))
        (fun o => gamma (move s h o)) (fun o => istd (move s h o))
        (fun o => mean (move s h o)) (fun o => beta (move s h o)) act.
Proof. reflexivity. Qed.

Lemma regular_numbers (N : net numbers) : regular N.
Proof.
  induction N; simpl; repeat split; auto; intros; repeat intro; simpl in *; congruence.
Qed.

Lemma dense_mixes_zero h A b gamma istd mean beta act :
  mixes_zero (dense h A b gamma istd mean beta act).
Proof. split; [|exact I]. intros o i. apply Z.mul_0_r. Qed.

(** ** Arrays as channels: one feature map for every index, equal if equal everywhere
    (no extensionality axiom).  A batch is an array over its examples. *)
Definition arrays (I : Type) (F : features) : features.
Proof.
  refine {| car := I -> F; eqv := fun x y => forall t, x t == y t;
            zero := fun _ => zero; add := fun x y t => add (x t) (y t) |}.
  - split; [intros x t; reflexivity|intros x y H t; symmetry; apply H|].
    intros x y z H K t. rewrite H. apply K.
  - intros x y H x' y' H' t. rewrite H, H'. reflexivity.
  - intros x y t. apply add_comm.
  - intros x y z t. apply add_assoc.
  - intros x t. apply add_zero.
Defined.

(** ** Batches of images: convolutions

    An index is (example, row, column).  A kernel is a list of taps (offset, offset, weight);
    a tap reads the input, example by example, at stride * position + offset. *)
Definition images : features := arrays (nat * Z * Z) numbers.
Definition kernel := list (Z * Z * Z).
Fixpoint conv (stride : Z) (K : kernel) (x : images) : images :=
  match K with
  | [] => fun _ => 0
  | (d, e, a) :: K' => fun '(n, u, v) =>
      a * x (n, stride * u + d, stride * v + e) + conv stride K' x (n, u, v)
  end.

Lemma conv_proper stride K : Proper (eqv ==> eqv) (conv stride K).
Proof.
  induction K as [|[[d e] a] K IH]; intros x y H [[n u] v]; simpl; [reflexivity|].
  rewrite (H (_, _, _)), (IH x y H (n, u, v)). reflexivity.
Qed.
Lemma conv_zero stride K : conv stride K zero == zero.
Proof.
  induction K as [|[[d e] a] K IH]; intros [[n u] v]; simpl in *; [reflexivity|]. rewrite IH. lia.
Qed.

(** Batch normalisation in training: [nrm c] of the sum and the sum of squares of channel [c] over
    the indices [B] (all examples, all positions), and the value: an [Each].  Mean, variance, the
    root, gamma and beta are in [nrm], which may be any function. *)
Definition moments (B : list (nat * Z * Z)) (x : images) : Z * Z :=
  fold_right (fun t m => (x t + fst m, x t * x t + snd m)) (0, 0) B.
Definition train_norm (B : list (nat * Z * Z)) (nrm : channel -> Z * Z -> Z -> Z) : net images :=
  Each (F := images) (fun c x t => nrm c (moments B x) (x t)).
Lemma moments_proper B (x y : images) : x == y -> moments B x = moments B y.
Proof. intros H. induction B as [|t B IH]; simpl; [reflexivity|]. rewrite (H t), IH. reflexivity. Qed.

(** Convolution, batch normalisation (stored statistics), activation; the depthwise convolution. *)
Definition conv_mix (h : axis) (stride : Z) (K : channel -> channel -> kernel) : net images :=
  Mix (F := images) h (fun o i => conv stride (K o i)).
Definition conv_layer (h : axis) (stride : Z) (K : channel -> channel -> kernel)
    (gamma istd mean beta : channel -> Z) (act : Z -> Z) : net images :=
  Seq (conv_mix h stride K)
      (Each (F := images) (fun o z t => act (gamma o * (z t - mean o) * istd o + beta o))).
Definition depthwise (stride : Z) (K : channel -> kernel) (bias : channel -> Z) (act : Z -> Z) : net images :=
  Each (F := images) (fun i x t => act (conv stride (K i) x t + bias i)).
Definition plus_images (_ : channel) (x y : images) : images := fun t => x t + y t.
Definition times_images (_ : channel) (x y : images) : images := fun t => x t * y t.

(** Squeeze and excite: [Q] are the positions that are pooled, [e] the inner axis, [g] the axis it
    gates; any two activations (the outer one is a sigmoid, which is not 0 at 0). *)
Definition pool (Q : list (Z * Z)) (x : images) : images := fun '(n, _, _) =>
  fold_right (fun '(u, v) m => x (n, u, v) + m) 0 Q.
Definition dense_mix (h : axis) (A : channel -> channel -> Z) : net images :=
  Mix (F := images) h (fun o i x t => A o i * x t).
Definition biased (b : channel -> Z) (act : Z -> Z) : net images :=
  Each (F := images) (fun c x t => act (x t + b c)).
Definition squeeze_excite (g e : axis) (Q : list (Z * Z)) (A1 A2 : channel -> channel -> Z)
    (b1 b2 : channel -> Z) (act1 act2 : Z -> Z) : net images :=
  Zip times_images Id
    (layers [ Each (F := images) (fun _ => pool Q);
              dense_mix e A1; biased b1 act1; dense_mix g A2; biased b2 act2 ]).
Lemma pool_proper Q : Proper (eqv ==> eqv) (pool Q).
Proof.
  intros x y H [[n u] v]. simpl. induction Q as [|[u' v'] Q IH]; simpl; [reflexivity|].
  rewrite (H (_, _, _)), IH. reflexivity.
Qed.

Ltac layers_ok :=
  simpl; repeat split; auto; intros;
  try apply conv_zero; try (apply conv_proper; assumption); try (apply pool_proper; assumption);
  try apply Z.mul_0_r;
  repeat intro; simpl in *; unfold plus_images, times_images;
  repeat match goal with
  | H : forall t : _, ?x t = ?y t |- context [moments ?B ?x] => rewrite (moments_proper B x y H)
  | H : forall t : _, ?x t = ?y t |- context [conv ?s ?K ?x ?t] => rewrite (conv_proper s K x y H t)
  | H : forall t : _, ?x t = ?y t |- context [?x ?t] => rewrite (H t)
  end; try reflexivity.

Lemma squeeze_excite_ok g e Q A1 A2 b1 b2 act1 act2 :
  let N := squeeze_excite g e Q A1 A2 b1 b2 act1 act2 in
  regular N /\ mixes_zero N /\ tied g N.
Proof. layers_ok. Qed.

(** The gate pools, mixes and expands at the widths of both groups; it can be permuted, and its
    prefix is its mask, also with a mask in front of its two layers alone (none behind [act2]). *)
Corollary squeeze_excite_permutation W s g e Q A1 A2 b1 b2 act1 act2 x y :
  (forall h, permutes (s h) (W h)) -> (forall i, on W g i -> y i == x (move s g i)) ->
  let N := squeeze_excite g e Q A1 A2 b1 b2 act1 act2 in
  forall o, on W g o -> run W g (permute s g N) y o == run W g N x (move s g o).
Proof.
  intros Hs Hx N. destruct (squeeze_excite_ok g e Q A1 A2 b1 b2 act1 act2) as (R & _ & T).
  exact (network_permutation images W s N g x y Hs R T Hx).
Qed.
Corollary squeeze_excite_prefix_is_mask W k g e Q A1 A2 b1 b2 act1 act2 x y :
  (forall h, (k h <= W h)%nat) -> (forall i, on k g i -> y i == x i) ->
  (forall i, on W g i -> kept k g i = false -> y i == zero) ->
  let N := squeeze_excite g e Q A1 A2 b1 b2 act1 act2 in
  forall o, on k g o -> run k g N x o == run W g (masked k g N) y o /\
                        run k g N x o == run W g (masked_reads k g N) y o.
Proof.
  intros Hk Hx Hy N o Ho. destruct (squeeze_excite_ok g e Q A1 A2 b1 b2 act1 act2) as (R & Z & T).
  split.
  - symmetry. exact (proj1 (network_prefix_mask_both images W k N g x y Hk R Z T Hx Hy) o Ho).
  - exact (network_prefix_is_mask_at_reads images W k N g x y Hk R Z T Hx o Ho).
Qed.

(** A convolutional network of any shape, in training: a stem, a residual block (convolution,
    depthwise convolution, projection back into the stem's group), squeeze and excite, two branches
    side by side with one batch normalisation over both, a head.
    Groups: 0 input, 1 stem and residual, 2 inside the block, 3 output, 4 and 5 the branches, 6 gate. *)
Section ResidualExample.
  Variables K1 K2 K3 K4 K5 K6 : channel -> channel -> kernel.
  Variable Kd : channel -> kernel.
  Variables A1 A2 : channel -> channel -> Z.
  Variables gamma istd mean beta bias : channel -> Z.
  Variables act sigmoid : Z -> Z.
  Variable B : list (nat * Z * Z).
  Variable Q : list (Z * Z).
  Variables nrm1 nrm2 : channel -> Z * Z -> Z -> Z.
  Definition residual_net : net images :=
    layers [ conv_mix [1%nat] 1 K1; train_norm B nrm1;
             Zip plus_images Id (layers [ conv_layer [2%nat] 1 K2 gamma istd mean beta act;
                                          depthwise 1 Kd bias act;
                                          conv_layer [1%nat] 1 K3 gamma istd mean beta act ]);
             squeeze_excite [1%nat] [6%nat] Q A1 A2 bias bias act sigmoid;
             Cat (conv_mix [4%nat] 1 K5) (conv_mix [5%nat] 1 K6); train_norm B nrm2;
             conv_layer [3%nat] 2 K4 gamma istd mean beta act ].
  Lemma residual_net_ok :
    regular residual_net /\ mixes_zero residual_net /\ tied [0%nat] residual_net.
  Proof. unfold residual_net, conv_layer, depthwise. layers_ok. Qed.

  Corollary residual_net_permutation_invariant W s x :
    (forall h, permutes (s h) (W h)) -> (forall i, s 0%nat i = i) -> (forall i, s 3%nat i = i) ->
    forall o, on W [3%nat] o ->
      run W [0%nat] (permute s [0%nat] residual_net) x o == run W [0%nat] residual_net x o.
  Proof.
    intros Hs H0 H3. destruct residual_net_ok as (R & _ & T).
    apply (network_permutation_invariant images W s residual_net [0%nat] x Hs R T);
      intros [[|b] i] [L _]; simpl in *; try lia; unfold move, group; simpl; rewrite ?H0, ?H3; reflexivity.
  Qed.

  Corollary residual_net_prefix_is_mask W k x :
    (forall h, (k h <= W h)%nat) -> k 0%nat = W 0%nat ->
    forall o, on k [3%nat] o ->
      run k [0%nat] residual_net x o == run W [0%nat] (masked k [0%nat] residual_net) x o.
  Proof.
    intros Hk H0. destruct residual_net_ok as (R & Z & T).
    apply (network_prefix_is_mask images W k residual_net [0%nat] x Hk); auto.
    intros h [<-|[]]. exact H0.
  Qed.
End ResidualExample.

(** ** Grouped convolutions

    Group [j] of a grouped convolution reads its own [m] channels: [K j o i] leads from channel [i] to
    channel [o] in group [j].  A channel is a pair (group, place in it). *)
Section Grouped.
  Variable F : features.
  Definition grouped (m : nat) (K : nat -> nat -> nat -> F -> F) (x : nat -> nat -> F) (j o : nat) : F :=
    lsum (map (fun i => K j o i (x j i)) (seq 0 m)).

  (** Permutations that respect the groups, [s] of the groups, [q j] and [r j] inside of the inputs and
      the outputs of group [j], leave it a grouped convolution with the permuted kernels. *)
  Theorem grouped_permutation m K x s q r j o : permutes (q j) m ->
    grouped m (fun j o i => K (s j) (r j o) (q j i)) (fun j i => x (s j) (q j i)) j o ==
    grouped m K x (s j) (r j o).
  Proof.
    intros H. unfold grouped.
    rewrite <- (map_map (q j) (fun i => K (s j) (r j o) i (x (s j) i))).
    apply lsum_perm. apply Permutation_map. apply permutes_seq. exact H.
  Qed.

  (** In a network the channels that go together are one channel of [arrays nat F], a bundle.  Either the
      bundle is a group, and the grouped convolution treats bundles one by one ... *)
  Definition grouped_whole (m : nat) (K : channel -> nat -> nat -> F -> F) : net (arrays nat F) :=
    Each (F := arrays nat F) (fun c x o => lsum (map (fun i => K c o i (x i)) (seq 0 m))).
  (** ... or channel i of every group is a bundle, and it mixes bundles, group by group. *)
  Definition grouped_inside (h : axis) (K : channel -> channel -> nat -> F -> F) : net (arrays nat F) :=
    Mix (F := arrays nat F) h (fun o i x j => K o i j (x j)).

  Lemma lsum_proper (f f' : nat -> F) l : (forall i, f i == f' i) -> lsum (map f l) == lsum (map f' l).
  Proof. intros H. induction l as [|i l IH]; simpl; [reflexivity|]. rewrite (H i), IH. reflexivity. Qed.
  Lemma grouped_whole_regular m K : (forall c o i, Proper (eqv ==> eqv) (K c o i)) ->
    regular (grouped_whole m K).
  Proof. intros H c x y E o. apply lsum_proper. intros i. apply H. apply E. Qed.
  Lemma grouped_inside_regular h K : (forall o i j, Proper (eqv ==> eqv) (K o i j)) ->
    regular (grouped_inside h K).
  Proof. intros H o i x y E j. apply H. apply E. Qed.
  Lemma grouped_inside_mixes_zero h K : (forall o i j, K o i j zero == zero) ->
    mixes_zero (grouped_inside h K).
  Proof. intros H o i j. apply H. Qed.

  (** A network with both: whole groups can be permuted and cut without a condition on zero, the same
      places of all groups if a kernel sends zero to zero. *)
  Section GroupedNet.
    Variables (m : nat) (h : axis) (first : channel -> channel -> (nat -> F) -> nat -> F).
    Variables (K1 : channel -> nat -> nat -> F -> F) (K2 : channel -> channel -> nat -> F -> F).
    Hypothesis first_regular : forall o i, Proper (eqv (f := arrays nat F) ==> eqv (f := arrays nat F)) (first o i).
    Hypothesis first_zero : forall o i, eqv (f := arrays nat F) (first o i (fun _ => zero)) zero.
    Hypothesis K1_regular : forall c o i, Proper (eqv ==> eqv) (K1 c o i).
    Hypothesis K2_regular : forall o i j, Proper (eqv ==> eqv) (K2 o i j).
    Hypothesis K2_zero : forall o i j, K2 o i j zero == zero.
    Definition grouped_net (g : axis) : net (arrays nat F) :=
      layers [ Mix (F := arrays nat F) g first; grouped_whole m K1; grouped_inside h K2 ].
    Lemma grouped_net_ok g : regular (grouped_net g) /\ mixes_zero (grouped_net g) /\ tied [0%nat] (grouped_net g).
    Proof.
      split; [|split; [|simpl; repeat split]]; (split; [|split; [|split; [|exact I]]]).
      - exact first_regular.
      - exact (grouped_whole_regular m K1 K1_regular).
      - exact (grouped_inside_regular h K2 K2_regular).
      - exact first_zero.
      - exact I.
      - exact (grouped_inside_mixes_zero h K2 K2_zero).
    Qed.
    Corollary grouped_net_permutation W s g x y :
      (forall h, permutes (s h) (W h)) -> (forall i, on W [0%nat] i -> y i == x (move s [0%nat] i)) ->
      forall o, on W h o -> run W [0%nat] (permute s [0%nat] (grouped_net g)) y o ==
                            run W [0%nat] (grouped_net g) x (move s h o).
    Proof.
      intros Hs. destruct (grouped_net_ok g) as (R & _ & T).
      exact (network_permutation _ W s (grouped_net g) [0%nat] x y Hs R T).
    Qed.
    Corollary grouped_net_prefix_is_mask W k g x :
      (forall h, (k h <= W h)%nat) -> k 0%nat = W 0%nat ->
      forall o, on k h o -> run k [0%nat] (grouped_net g) x o ==
                            run W [0%nat] (masked k [0%nat] (grouped_net g)) x o.
    Proof.
      intros Hk H0. destruct (grouped_net_ok g) as (R & Z & T).
      apply (network_prefix_is_mask _ W k (grouped_net g) [0%nat] x Hk); auto.
      intros h' [<-|[]]. exact H0.
    Qed.
  End GroupedNet.
End Grouped.

(** Two groups of two channels; place 1 of group 0 and place 0 of group 1 change places.  No grouped
    convolution at all does to the permuted channels what this one does to the others. *)
Definition exchange (j i : nat) : nat * nat :=
  match j, i with 0, 1 => (1, 0) | 1, 0 => (0, 1) | _, _ => (j, i) end%nat.
Theorem grouped_must_respect_groups :
  (forall j i, exchange (fst (exchange j i)) (snd (exchange j i)) = (j, i)) /\
  forall K : nat -> nat -> nat -> Z -> Z, (forall j o i, K j o i 0 = 0) ->
  exists x : nat -> nat -> Z,
    grouped numbers 2 K (fun j i => x (fst (exchange j i)) (snd (exchange j i))) 0 0 <>
    grouped numbers 2 (fun _ _ _ x => x) x (fst (exchange 0 0)) (snd (exchange 0 0)).
Proof.
  split.
  - intros [|[|j]] [|[|i]]; reflexivity.
  - intros K H. exists (fun j i => match j, i with 0%nat, 1%nat => 1 | _, _ => 0 end).
    unfold grouped. simpl. rewrite !H. discriminate.
Qed.

(** ** Derivatives

    A number with its derivative along a direction; sums, products and activations as in forward-mode
    differentiation.  The weights are numbers, the direction is in their second parts.  P2 for these
    feature maps is about derivatives, whatever [act'] is (at a kink of [act], too).  A channel carries
    one such pair for every index in [J]: an example of a batch, a position. *)
Definition duals : features.
Proof.
  refine {| car := Z * Z; eqv := eq; zero := (0, 0);
            add := fun x y => (fst x + fst y, snd x + snd y) |}.
  - intros [] []. simpl. f_equal; lia.
  - intros [] [] []. simpl. f_equal; lia.
  - intros []. reflexivity.
Defined.
Definition times (w x : Z * Z) : Z * Z := (fst w * fst x, fst w * snd x + snd w * fst x).
Definition lift (act act' : Z -> Z) (x : Z * Z) : Z * Z := (act (fst x), act' (fst x) * snd x).

(** The weight [w] moved by [t] times its direction, [t] an integer.  A number is [near t] a pair if it
    is the value + t derivative + t^2 (something); [derives act act'] says this of an activation. *)
Definition weight_at (t : Z) (w : Z * Z) : Z := fst w + t * snd w.
Definition near (t : Z) (y : Z) (d : Z * Z) : Prop := exists r, y = fst d + t * snd d + t * t * r.
Definition derives (act act' : Z -> Z) : Prop :=
  forall t z d, exists r, act (z + t * d) = act z + t * (act' z * d) + t * t * r.

Section Derivatives.
  Variable J : Type.
  Notation values := (arrays J numbers).
  Notation pairs := (arrays J duals).

  Definition dual_dense (h : axis) (A : channel -> channel -> Z * Z) (b : channel -> Z * Z)
      (act act' : Z -> Z) : net pairs :=
    Seq (Mix (F := pairs) h (fun o i x e => times (A o i) (x e)))
        (Each (F := pairs) (fun o z e => lift act act' (add (f := duals) (z e) (b o)))).
  Definition dual_gate (a b : net pairs) : net pairs :=
    Zip (F := pairs) (fun _ x y e => times (x e) (y e)) a b.
  Definition dense_at (t : Z) (h : axis) (A : channel -> channel -> Z * Z) (b : channel -> Z * Z)
      (act : Z -> Z) : net values :=
    Seq (Mix (F := values) h (fun o i x e => weight_at t (A o i) * x e))
        (Each (F := values) (fun o z e => act (z e + weight_at t (b o)))).
  Definition gate_at (a b : net values) : net values := Zip (F := values) (fun _ x y e => x e * y e) a b.

  (** The gradient of a subnetwork is the gradient of the masked network: along every direction. *)
  Theorem gradient_prefix_is_mask W k (N : net pairs) g x :
    (forall h, (k h <= W h)%nat) -> (forall h, In h g -> k h = W h) ->
    regular N -> mixes_zero N -> tied g N ->
    forall o e, on k (out g N) o -> snd (run k g N x o e) = snd (run W g (masked k g N) x o e).
  Proof.
    intros Hk Hg HR HZ HT o e Ho. f_equal.
    exact (network_prefix_is_mask pairs W k N g x Hk Hg HR HZ HT o Ho e).
  Qed.

  (** It is zero in the entries that are not kept: if all kept entries and the input stand still
      ([still] at the kept channels), so does the output. *)
  Definition still (x y : pairs) : Prop := forall e, snd (x e) = 0 /\ snd (y e) = 0.
  Theorem gradient_is_zero_elsewhere W k (N : net pairs) g x :
    (forall h, (k h <= W h)%nat) -> (forall h, In h g -> k h = W h) ->
    regular N -> mixes_zero N -> tied g N ->
    related still k g N N -> (forall i e, on k g i -> snd (x i e) = 0) ->
    forall o e, on k (out g N) o -> snd (run W g (masked k g N) x o e) = 0.
  Proof.
    intros Hk Hg HR HZ HT HC Hx o e Ho.
    rewrite <- (gradient_prefix_is_mask W k N g x Hk Hg HR HZ HT o e Ho).
    apply (network_related pairs pairs still k N g N x x); auto.
    - intros e'. split; reflexivity.
    - intros x1 y1 x2 y2 A B e'. destruct (A e'), (B e'). simpl. split; lia.
    - intros i Hi e'. split; auto.
  Qed.

  (** Why the second part deserves its name: the network at the moved weights is the value + t derivative +
      t^2 (something), for every integer t, and only one derivative does this ([slope_is_unique]). *)
  Definition near_all (t : Z) (y : values) (d : pairs) : Prop := forall e, near t (y e) (d e).
  Theorem derivative_is_slope t k g (M : net values) (N : net pairs) x y :
    related (near_all t) k g M N -> (forall i, on k g i -> near_all t (x i) (y i)) ->
    forall o, on k (out g M) o -> near_all t (run k g M x o) (run k g N y o).
  Proof.
    intros H Hx. apply (network_related values pairs (near_all t)); auto.
    - intros e. exists 0. simpl. lia.
    - intros x1 y1 x2 y2 A B e. destruct (A e) as [r E], (B e) as [q D]. exists (r + q).
      simpl in *. rewrite E, D. lia.
  Qed.

  Lemma dual_dense_ok g h A b act act' :
    let N := dual_dense h A b act act' in regular N /\ mixes_zero N /\ tied g N.
  Proof.
    simpl. repeat split; auto.
    - intros o i x y H e. rewrite (H e). reflexivity.
    - intros c x y H e. rewrite (H e). reflexivity.
    - intros o i e. unfold times. simpl. f_equal; lia.
  Qed.
  Lemma still_dense k g h A b act act' :
    (forall o i, on k h o -> on k g i -> snd (A o i) = 0) -> (forall o, on k h o -> snd (b o) = 0) ->
    related still k g (dual_dense h A b act act') (dual_dense h A b act act').
  Proof.
    intros HA Hb. split.
    - split; [reflexivity|]. intros o i x y Ho Hi S e. destruct (S e). simpl. rewrite (HA o i) by assumption.
      split; lia.
    - intros o x y Ho S e. destruct (S e). simpl. rewrite (Hb o) by assumption. split; nia.
  Qed.
  Lemma near_times t x y x' y' : near t x y -> near t x' y' -> near t (x * x') (times y y').
  Proof.
    intros [r E] [q D].
    exists (snd y * snd y' + r * fst y' + fst y * q + t * (r * snd y' + snd y * q) + t * t * (r * q)).
    subst. unfold times. simpl. ring.
  Qed.
  Lemma near_lift t act act' x y : derives act act' -> near t x y -> near t (act x) (lift act act' y).
  Proof.
    intros H [r E]. destruct (H t (fst y) (snd y + t * r)) as [q D].
    exists (act' (fst y) * r + q). subst x. unfold lift. simpl.
    replace (fst y + t * snd y + t * t * r) with (fst y + t * (snd y + t * r)) by ring. rewrite D. ring.
  Qed.
  Lemma near_dense t k g h A b act act' : derives act act' ->
    related (near_all t) k g (dense_at t h A b act) (dual_dense h A b act act').
  Proof.
    intros H. simpl. repeat split; auto.
    - intros o i x y _ _ N e. apply near_times; [|apply N]. exists 0. unfold weight_at. lia.
    - intros o x y _ N e. apply near_lift; [exact H|]. destruct (N e) as [r E]. exists r.
      unfold weight_at. simpl in *. rewrite E. ring.
  Qed.

  (** A network with a gate: a hidden layer (group 1) times a second one, an output layer (group 2). *)
  Section Gated.
    Variables A1 A2 A3 : channel -> channel -> Z * Z.
    Variables b1 b2 b3 : channel -> Z * Z.
    Variables act act' : Z -> Z.
    Definition gated : net pairs :=
      layers [ dual_dense [1%nat] A1 b1 act act'; dual_gate Id (dual_dense [1%nat] A2 b2 act act');
               dual_dense [2%nat] A3 b3 act act' ].
    Definition gated_at (t : Z) : net values :=
      layers [ dense_at t [1%nat] A1 b1 act; gate_at Id (dense_at t [1%nat] A2 b2 act);
               dense_at t [2%nat] A3 b3 act ].
    Lemma gated_ok : regular gated /\ mixes_zero gated /\ tied [0%nat] gated.
    Proof.
      destruct (dual_dense_ok [0%nat] [1%nat] A1 b1 act act') as (R1 & Z1 & _).
      destruct (dual_dense_ok [1%nat] [1%nat] A2 b2 act act') as (R2 & Z2 & _).
      destruct (dual_dense_ok [1%nat] [2%nat] A3 b3 act act') as (R3 & Z3 & _).
      repeat (split; try exact I); try apply R1; try apply R2; try apply R3;
        try apply Z1; try apply Z2; try apply Z3.
      intros c x y H x' y' H' e. rewrite (H e), (H' e). reflexivity.
    Qed.

    Corollary gated_gradient_prefix_is_mask W k x o e :
      (forall h, (k h <= W h)%nat) -> k 0%nat = W 0%nat -> on k [2%nat] o ->
      snd (run k [0%nat] gated x o e) = snd (run W [0%nat] (masked k [0%nat] gated) x o e).
    Proof.
      intros Hk H0 Ho. destruct gated_ok as (R & Z & T).
      apply (gradient_prefix_is_mask W k gated [0%nat] x); auto. intros h [<-|[]]. exact H0.
    Qed.
    Corollary gated_gradient_is_zero_elsewhere W k x o e :
      (forall h, (k h <= W h)%nat) -> k 0%nat = W 0%nat -> on k [2%nat] o ->
      (forall c i, on k [1%nat] c -> on k [0%nat] i -> snd (A1 c i) = 0) ->
      (forall c i, on k [1%nat] c -> on k [1%nat] i -> snd (A2 c i) = 0) ->
      (forall c i, on k [2%nat] c -> on k [1%nat] i -> snd (A3 c i) = 0) ->
      (forall c, on k [1%nat] c -> snd (b1 c) = 0 /\ snd (b2 c) = 0) ->
      (forall c, on k [2%nat] c -> snd (b3 c) = 0) ->
      (forall i n, snd (x i n) = 0) ->
      snd (run W [0%nat] (masked k [0%nat] gated) x o e) = 0.
    Proof.
      intros Hk H0 Ho Z1 Z2 Z3 Y Y3 Hx. destruct gated_ok as (R & Z & T).
      apply (gradient_is_zero_elsewhere W k gated [0%nat] x); auto.
      - intros h [<-|[]]. exact H0.
      - split; [apply still_dense; [exact Z1|apply Y]|]. split.
        + split; [exact I|]. split; [apply still_dense; [exact Z2|apply Y]|]. split; [reflexivity|].
          intros c u v u' v' _ S S' n. destruct (S n), (S' n). simpl. split; nia.
        + split; [apply still_dense; [exact Z3|exact Y3]|exact I].
    Qed.
    Corollary gated_derivative_is_slope t k x o e : derives act act' -> on k [2%nat] o ->
      near t (run k [0%nat] (gated_at t) (fun i n => weight_at t (x i n)) o e) (run k [0%nat] gated x o e).
    Proof.
      intros H Ho. apply (derivative_is_slope t k [0%nat] (gated_at t) gated); [|intros i _ n|exact Ho].
      - split; [apply near_dense, H|]. split.
        + split; [exact I|]. split; [apply near_dense, H|]. split; [reflexivity|].
          intros c u v u' v' _ S S' n. apply near_times; [apply S|apply S'].
        + split; [apply near_dense, H|exact I].
      - exists 0. unfold weight_at. lia.
    Qed.
  End Gated.
End Derivatives.

(** Polynomials with their derivatives are such activations. *)
Lemma derives_id : derives (fun z => z) (fun _ => 1).
Proof. intros t z d. exists 0. ring. Qed.
Lemma derives_constant a : derives (fun _ => a) (fun _ => 0).
Proof. intros t z d. exists 0. ring. Qed.
Lemma derives_add f f' h h' : derives f f' -> derives h h' ->
  derives (fun z => f z + h z) (fun z => f' z + h' z).
Proof.
  intros A B t z d. destruct (A t z d) as [r E], (B t z d) as [q D]. exists (r + q). rewrite E, D. ring.
Qed.
Lemma derives_mul f f' h h' : derives f f' -> derives h h' ->
  derives (fun z => f z * h z) (fun z => f' z * h z + f z * h' z).
Proof.
  intros A B t z d. destruct (A t z d) as [r E], (B t z d) as [q D]. rewrite E, D.
  exists (f' z * d * (h' z * d) + r * h z + f z * q + t * (r * h' z * d + f' z * d * q) + t * t * (r * q)). ring.
Qed.
Theorem slope_is_unique (f : Z -> Z) (d d' : Z * Z) :
  (forall t, near t (f t) d) -> (forall t, near t (f t) d') -> d = d'.
Proof.
  intros A B. destruct d as [v a], d' as [v' a'].
  assert (E : v = v') by (destruct (A 0) as [r E], (B 0) as [q D]; simpl in *; lia). subst v'. f_equal.
  destruct (A (Z.abs (a - a') + 1)) as [r E], (B (Z.abs (a - a') + 1)) as [q D]. simpl in *.
  set (t := Z.abs (a - a') + 1) in *. assert (T : t > Z.abs (a - a')) by lia.
  assert (X : a - a' = t * (q - r)).
  { apply (Z.mul_reg_l _ _ t); [lia|]. rewrite E in D.
    replace (t * (a - a')) with (t * a - t * a') by ring.
    replace (t * (t * (q - r))) with (t * t * q - t * t * r) by ring. lia. }
  assert (N : q - r = 0) by nia. rewrite N in X. lia.
Qed.

(** ** What goes wrong otherwise: small counterexamples over the integers. *)
Definition swap (i : nat) : nat := match i with 0 => 1 | 1 => 0 | _ => i end%nat.
Definition idn (i : nat) : nat := i.
Definition ones (_ : channel) := 1.
Definition zeros (_ : channel) := 0.
Definition plus_one (z : Z) := z + 1.
Definition relu (z : Z) := Z.max 0 z.

(** A hidden layer (group 1) and an output layer (group 2). *)
Definition small (mean : channel -> Z) (A : channel -> channel -> Z) (act : Z -> Z) : net numbers :=
  layers [ dense [1%nat] A zeros ones ones mean zeros act;
           dense [2%nat] (fun _ _ => 1) zeros ones ones zeros zeros (fun z => z) ].

(** A mask BEFORE the activation (here only there) is wrong as soon as act(0) <> 0: cutting
    the only hidden unit away gives 0, masking it before the activation gives 1. *)
Theorem mask_before_activation_is_wrong :
  exists (first_half second_half : net numbers) (W k : nat -> nat) (x : channel -> Z),
    (forall h, (k h <= W h)%nat) /\
    run k [0%nat] (Seq first_half second_half) x (0, 0)%nat <>
    run W [0%nat] (Seq first_half (Seq (keep k [1%nat]) second_half)) x (0, 0)%nat.
Proof.
  exists (Mix (F := numbers) [1%nat] (fun _ _ x => x)),
         (Seq (Each (F := numbers) (fun _ => plus_one)) (Mix (F := numbers) [2%nat] (fun _ _ x => x))),
         (fun _ => 1%nat), (fun h => match h with 1 => 0 | _ => 1 end%nat), zeros.
  split; [intros [|[|h]]; lia|]. vm_compute. discriminate.
Qed.

(** Permuting everything but the mean of one batch normalisation changes the function:
    two hidden units with weights 1 and 2 and means 0 and 3, swapped. *)
Theorem missed_mean_changes_the_function :
  exists (A : channel -> channel -> Z) (mean : channel -> Z) (x : channel -> Z),
    let W := fun h => match h with 1 => 2 | _ => 1 end%nat in
    let s := fun h => match h with 1%nat => swap | _ => idn end in
    run W [0%nat] (permute s [0%nat] (small mean A relu)) x (0, 0)%nat =
      run W [0%nat] (small mean A relu) x (0, 0)%nat /\
    run W [0%nat] (small mean (fun o i => A (move s [1%nat] o) i) relu) x (0, 0)%nat <>
      run W [0%nat] (small mean A relu) x (0, 0)%nat.
Proof.
  exists (fun o _ => match snd o with 0%nat => 1 | _ => 2 end),
         (fun o => match snd o with 0%nat => 0 | _ => 3 end), ones.
  split; [reflexivity|]. vm_compute. discriminate.
Qed.

(** A layer that is called twice ties the groups around its places: if only what lies between the
    two calls is permuted, no weights do for both of them. *)
Theorem shared_layer_ties_its_groups :
  exists A : nat -> nat -> Z, forall A' : nat -> nat -> Z,
    let use A x o := A o 0%nat * x 0%nat + A o 1%nat * x 1%nat in
    ~ ((forall x o, (o < 2)%nat -> use A' x o = use A x (swap o)) /\
       (forall x o, (o < 2)%nat -> use A' (fun i => x (swap i)) o = use A x o)).
Proof.
  exists (fun o i => match o, i with 0%nat, 0%nat => 1 | 1%nat, 1%nat => 2 | _, _ => 0 end). intros A' use [H K].
  specialize (H (fun i => match i with 0%nat => 1 | _ => 0 end) 1%nat ltac:(lia)).
  specialize (K (fun i => match i with 1%nat => 1 | _ => 0 end) 1%nat ltac:(lia)).
  unfold use, swap in *. lia.
Qed.

(** Statistics of the full network are not those of the cut one: hidden units x and 2x, their sum
    normalised by its sum over the batch, for x = 1 and 3, one unit kept: 0, 0 and not 0, 2. *)
Definition batch (a b : Z) : arrays bool numbers := fun e => if e then b else a.
Definition over_batch : store (arrays bool numbers) := {|
  mixes n o i (x : arrays bool numbers) e := match n, snd o with 0%nat, 1%nat => 2 | _, _ => 1 end * x e;
  maps _ _ (x : arrays bool numbers) e := relu (x e);
  zips _ _ (x y : arrays bool numbers) := x;
  norms _ _ (m x : arrays bool numbers) e := 2 * x e - m e |}.
Definition summed (x : arrays bool numbers) : arrays bool numbers := fun _ => x false + x true.
Definition one_norm : program := PSeq (PMix [1%nat] 0) (PSeq (PMix [2%nat] 1) (PSeq (PNorm 0) (PMap 0))).
Theorem full_statistics_make_another_network :
  let W h := match h with 1 => 2 | _ => 1 end%nat in
  let k (_ : nat) := 1%nat in
  let x (_ : channel) := batch 1 3 in
  let full := recalibrated summed summed W over_batch [0%nat] one_norm x in
  let own := recalibrated summed summed k over_batch [0%nat] one_norm x in
  map (run k [0%nat] full x (0, 0)%nat) [false; true] = [0; 0] /\
  map (run k [0%nat] own x (0, 0)%nat) [false; true] = [0; 2].
Proof. split; reflexivity. Qed.

(** Layer normalisation subtracts the mean over the channels.  [centre m x c] is m times
    what is left of channel c among m channels (times m, to stay with integers); layer
    normalisation then divides by a positive number. *)
Definition centre (m : nat) (x : channel -> Z) (c : channel) : Z :=
  Z.of_nat m * x c - total (F := numbers) x (channels (fun _ => m) [0%nat]).

Theorem layer_norm_permutation_equivariant m s x c :
  permutes s m ->
  centre m (fun j => x (move (fun _ => s) [0%nat] j)) c = centre m x (move (fun _ => s) [0%nat] c).
Proof.
  intros H. unfold centre.
  pose proof (total_permute numbers x (fun _ => m) (fun _ => s) [0%nat] (fun _ => H)) as E. simpl in E.
  rewrite E. reflexivity.
Qed.

(** One kept channel of two: alone it is centred to 0; in the masked network it is not,
    whatever the positive scale. *)
Theorem layer_norm_not_prefix_nested :
  exists x : channel -> Z, forall scale scale', 0 < scale -> 0 < scale' ->
    scale * centre 1 x (0, 0)%nat <>
    scale' * centre 2 (fun c => if (snd c <? 1)%nat then x c else 0) (0, 0)%nat.
Proof. exists ones. intros a b Ha Hb. vm_compute centre. lia. Qed.
