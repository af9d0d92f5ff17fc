(** * Network.v -- whole networks: permutation invariance, and prefix = mask

    A network computes with channels.  What a channel carries (a number, an image, a
    batch of images, a number with its derivative) is an element of a commutative
    monoid, its feature map; all that the theorems need is that feature maps can be
    added in any order.

    Channels belong to groups; every channel axis that must be reordered together
    carries the same group number, and a group [h] has [W h] channels.  An axis is a list
    of groups laid one behind the other: one group behind a layer, several behind a
    concatenation.  A channel of an axis is a pair: the number of its group in that
    list, and its place in the group.  The network is built from

    - [Mix h row]: a new axis [h] whose channel [o] is the sum over the channels [i] of
      the current axis of [row o i] applied to channel [i]: a dense layer (multiply
      by a weight), a convolution (convolve with kernel o,i), a dense layer after
      a flatten (channel i with its own H*W rows);
    - [Each f]: channel [c] goes through [f c]: bias, batch normalisation (with stored
      statistics, or with those of the batch, where a channel carries a batch),
      activation, depthwise convolution, pooling, in any combination;
    - [Seq a b]: first [a], then [b];
    - [Zip f a b]: both on the same input, channel [c] of both through [f c], any map of
      two feature maps: a residual connection ([f] adds), a gate ([f] multiplies), a
      maximum;
    - [Cat a b]: both on the same input, laid side by side: a concatenation;
    - [Pick p]: the groups numbered [p] of the current axis: a split.              *)
From Coq Require Import Arith List Permutation Lia Bool Setoid Morphisms.
Import ListNotations.

(** ** Feature maps: a commutative monoid with its own equality. *)
Record features := {
  car :> Type;
  eqv : car -> car -> Prop;
  zero : car;
  add : car -> car -> car;
  eqv_equivalence : Equivalence eqv;
  add_proper : Proper (eqv ==> eqv ==> eqv) add;
  add_comm : forall x y, eqv (add x y) (add y x);
  add_assoc : forall x y z, eqv (add x (add y z)) (add (add x y) z);
  add_zero : forall x, eqv (add zero x) x
}.
Arguments eqv {f}. Arguments zero {f}. Arguments add {f}.
#[global] Existing Instance eqv_equivalence.
#[global] Existing Instance add_proper.
Infix "==" := eqv (at level 70).

(** ** Axes and their channels. *)
Definition axis := list nat.
Definition channel : Type := nat * nat.
Definition group (g : axis) (c : channel) : nat := nth (fst c) g 0.

(** [c] is a channel of axis [g] at widths [W]; [c] is among the first [k] of its group. *)
Definition on (W : nat -> nat) (g : axis) (c : channel) : Prop :=
  fst c < length g /\ snd c < W (group g c).
Definition kept (k : nat -> nat) (g : axis) (c : channel) : bool := snd c <? k (group g c).

(** All channels of an axis, in the order in which they lie in memory. *)
Definition block (W : nat -> nat) (g : axis) (b : nat) : list channel :=
  map (pair b) (seq 0 (W (nth b g 0))).
Definition channels (W : nat -> nat) (g : axis) : list channel :=
  flat_map (block W g) (seq 0 (length g)).

(** The channel behind the first axis of a concatenation, as a channel of the second. *)
Definition behind (g : axis) (c : channel) : channel := (fst c - length g, snd c).

(** One permutation per group, applied to every axis in the group. *)
Definition permutes (s : nat -> nat) (m : nat) :=
  (forall i, i < m -> s i < m) /\
  (forall i j, i < m -> j < m -> s i = s j -> i = j).
Definition move (s : nat -> nat -> nat) (g : axis) (c : channel) : channel :=
  (fst c, s (group g c) (snd c)).

Lemma in_channels W g c : In c (channels W g) <-> on W g c.
Proof.
  destruct c as [b i]. unfold channels, block, on, group. rewrite in_flat_map. split.
  - intros (b' & Hb & H). apply in_map_iff in H as (j & E & Hj). inversion E; subst.
    apply in_seq in Hb, Hj. simpl. lia.
  - simpl. intros [Hb Hi]. exists b. rewrite in_seq. split; [lia|].
    apply in_map. apply in_seq. lia.
Qed.

Lemma on_le k W g c : (forall h, k h <= W h) -> on k g c -> on W g c.
Proof. intros H [A B]. split; [exact A|]. specialize (H (group g c)). lia. Qed.
Lemma on_kept k g c : on k g c -> kept k g c = true.
Proof. intros [_ H]. apply Nat.ltb_lt. exact H. Qed.
Lemma kept_on k W g c : on W g c -> kept k g c = true -> on k g c.
Proof. intros [H _] K. split; [exact H|]. apply Nat.ltb_lt. exact K. Qed.

Lemma group_before g h c : fst c < length g -> group (g ++ h) c = group g c.
Proof. intros H. unfold group. apply app_nth1. exact H. Qed.
Lemma group_behind g h c : length g <= fst c -> group (g ++ h) c = group h (behind g c).
Proof. intros H. unfold group, behind. apply app_nth2. exact H. Qed.
Lemma on_before W g h c : on W (g ++ h) c -> fst c < length g -> on W g c.
Proof. intros [_ H] L. rewrite group_before in H by exact L. split; auto. Qed.
Lemma on_behind W g h c : on W (g ++ h) c -> length g <= fst c -> on W h (behind g c).
Proof.
  intros [A H] L. rewrite group_behind in H by exact L. split; [|exact H].
  unfold behind. rewrite app_length in A. simpl. lia.
Qed.

Definition picked (p : list nat) (g : axis) : axis := map (fun b => nth b g 0) p.
Definition taken (p : list nat) (c : channel) : channel := (nth (fst c) p 0, snd c).
Lemma group_picked p g c : fst c < length p -> group (picked p g) c = group g (taken p c).
Proof.
  intros H. unfold group, picked, taken. simpl.
  rewrite (nth_indep _ 0 (nth 0 g 0)) by (rewrite map_length; exact H).
  exact (map_nth (fun b => nth b g 0) p 0 (fst c)).
Qed.
Lemma on_picked W p g c : (forall b, In b p -> b < length g) -> on W (picked p g) c ->
  fst c < length p /\ on W g (taken p c).
Proof.
  intros P [A B]. assert (L : fst c < length p) by (unfold picked in A; rewrite map_length in A; exact A).
  split; [exact L|]. split.
  - apply P. apply nth_In. exact L.
  - rewrite <- group_picked by exact L. exact B.
Qed.

(** *** Concatenation: the channels of the first axis, then those of the second. *)
Theorem channels_cat W g h :
  channels W (g ++ h) = channels W g ++ map (fun c => (length g + fst c, snd c)) (channels W h).
Proof.
  assert (A : forall n m, n + m <= length g ->
    flat_map (block W (g ++ h)) (seq n m) = flat_map (block W g) (seq n m)).
  { intros n m; revert n; induction m as [|m IH]; intros n L; simpl; [reflexivity|].
    rewrite IH by lia. unfold block at 1 3. rewrite app_nth1 by lia. reflexivity. }
  assert (B : forall n m, flat_map (block W (g ++ h)) (seq (length g + n) m) =
    map (fun c => (length g + fst c, snd c)) (flat_map (block W h) (seq n m))).
  { intros n m; revert n; induction m as [|m IH]; intros n; simpl; [reflexivity|].
    rewrite <- Nat.add_succ_r, IH, map_app. f_equal.
    unfold block. rewrite app_nth2_plus, map_map. reflexivity. }
  unfold channels. rewrite app_length, seq_app, flat_map_app, A by lia.
  rewrite <- B, Nat.add_0_r. reflexivity.
Qed.

(** *** What is kept of an axis is a prefix of every group of it: of a concatenation a range
    for each part, in the same order. *)
Theorem channels_prefix k W g : (forall h, k h <= W h) ->
  channels k g = filter (kept k g) (channels W g).
Proof.
  intros H. unfold channels. induction (seq 0 (length g)) as [|b bs IH]; simpl; [reflexivity|].
  rewrite filter_app, <- IH. f_equal. unfold block.
  replace (W (nth b g 0)) with (k (nth b g 0) + (W (nth b g 0) - k (nth b g 0)))
    by (specialize (H (nth b g 0)); lia).
  rewrite seq_app, map_app, filter_app. simpl.
  assert (A : forall n m, n + m <= k (nth b g 0) ->
    filter (kept k g) (map (pair b) (seq n m)) = map (pair b) (seq n m)).
  { intros n m; revert n; induction m as [|m IHm]; intros n L; simpl; [reflexivity|].
    unfold kept at 1, group. simpl. destruct (Nat.ltb_spec n (k (nth b g 0))); [|lia].
    f_equal. apply IHm. lia. }
  assert (B : forall n m, k (nth b g 0) <= n -> filter (kept k g) (map (pair b) (seq n m)) = []).
  { intros n m; revert n; induction m as [|m IHm]; intros n L; simpl; [reflexivity|].
    unfold kept at 1, group. simpl. destruct (Nat.ltb_spec n (k (nth b g 0))); [lia|].
    apply IHm. lia. }
  rewrite A, B, app_nil_r by lia. reflexivity.
Qed.

Lemma permutes_seq s m : permutes s m -> Permutation (map s (seq 0 m)) (seq 0 m).
Proof.
  intros [H1 H2]. apply NoDup_Permutation_bis.
  - assert (G : forall l, NoDup l -> (forall i, In i l -> i < m) -> NoDup (map s l)).
    { induction 1 as [|i l Hi _ IH]; intros Hl; simpl; constructor.
      - intros E. apply in_map_iff in E as [j [E Ej]]. apply Hi.
        rewrite (H2 i j); auto; apply Hl; simpl; auto.
      - apply IH. intros j Hj. apply Hl. right; auto. }
    apply G; [apply seq_NoDup|]. intros i Hi. apply in_seq in Hi. lia.
  - rewrite map_length. lia.
  - intros j Hj. apply in_map_iff in Hj as [i [<- Hi]]. apply in_seq in Hi.
    apply in_seq. split; [lia|]. apply H1. lia.
Qed.

(** *** Permuting the groups permutes every axis, block by block. *)
Theorem channels_permuted W s g : (forall h, permutes (s h) (W h)) ->
  Permutation (map (move s g) (channels W g)) (channels W g).
Proof.
  intros H. unfold channels. induction (seq 0 (length g)) as [|b bs IH]; simpl; [reflexivity|].
  rewrite map_app. apply Permutation_app; [|exact IH]. unfold block. rewrite map_map.
  change (fun i => move s g (b, i)) with (fun i => (b, s (nth b g 0) i)).
  rewrite <- (map_map (s (nth b g 0)) (pair b)). apply Permutation_map.
  apply permutes_seq. apply H.
Qed.

Lemma move_on W s g c : (forall h, permutes (s h) (W h)) -> on W g c -> on W g (move s g c).
Proof.
  intros H [A B]. split; [exact A|]. unfold move, group in *. simpl. apply (H _). exact B.
Qed.

Section Networks.
  Variable F : features.

  Inductive net :=
  | Id
  | Mix (h : axis) (row : channel -> channel -> F -> F)
  | Each (f : channel -> F -> F)
  | Seq (a b : net)
  | Zip (f : channel -> F -> F -> F) (a b : net)
  | Cat (a b : net)
  | Pick (p : list nat).

  (** The axis of the output, when [g] is the axis of the input. *)
  Fixpoint out (g : axis) (N : net) : axis :=
    match N with
    | Id => g
    | Mix h _ => h
    | Each _ => g
    | Seq a b => out (out g a) b
    | Zip _ a _ => out g a
    | Cat a b => out g a ++ out g b
    | Pick p => picked p g
    end.

  (** What is added or multiplied must share its groups; what is picked must be there. *)
  Fixpoint tied (g : axis) (N : net) : Prop :=
    match N with
    | Seq a b => tied g a /\ tied (out g a) b
    | Zip _ a b => tied g a /\ tied g b /\ out g a = out g b
    | Cat a b => tied g a /\ tied g b
    | Pick p => forall b, In b p -> b < length g
    | _ => True
    end.

  Definition lsum (l : list F) : F := fold_right add zero l.
  Definition total (f : channel -> F) (l : list channel) : F := lsum (map f l).

  (** The function that the network computes, with [W h] channels in group [h]. *)
  Fixpoint run (W : nat -> nat) (g : axis) (N : net) (x : channel -> F) : channel -> F :=
    match N with
    | Id => x
    | Mix h row => fun o => total (fun i => row o i (x i)) (channels W g)
    | Each f => fun c => f c (x c)
    | Seq a b => run W (out g a) b (run W g a x)
    | Zip f a b => fun c => f c (run W g a x c) (run W g b x c)
    | Cat a b => fun c =>
        if fst c <? length (out g a) then run W g a x c else run W g b x (behind (out g a) c)
    | Pick p => fun c => x (taken p c)
    end.

  (** Every map respects equality of feature maps (trivial for numbers). *)
  Fixpoint regular (N : net) : Prop :=
    match N with
    | Mix _ row => forall o i, Proper (eqv ==> eqv) (row o i)
    | Each f => forall c, Proper (eqv ==> eqv) (f c)
    | Seq a b | Cat a b => regular a /\ regular b
    | Zip f a b => (forall c, Proper (eqv ==> eqv ==> eqv) (f c)) /\ regular a /\ regular b
    | Id | Pick _ => True
    end.

  (** A mixing layer sends the zero channel to zero: it has no bias of its own.
      Activations and biases (in [Each]) and the maps of [Zip] may do with zero what they like. *)
  Fixpoint mixes_zero (N : net) : Prop :=
    match N with
    | Mix _ row => forall o i, row o i zero == zero
    | Seq a b | Zip _ a b | Cat a b => mixes_zero a /\ mixes_zero b
    | _ => True
    end.

  (** ** The permuted network. *)
  Fixpoint permute (s : nat -> nat -> nat) (g : axis) (N : net) : net :=
    match N with
    | Id => Id
    | Mix h row => Mix h (fun o i => row (move s h o) (move s g i))
    | Each f => Each (fun c => f (move s g c))
    | Seq a b => Seq (permute s g a) (permute s (out g a) b)
    | Zip f a b => Zip (fun c => f (move s (out g a) c)) (permute s g a) (permute s g b)
    | Cat a b => Cat (permute s g a) (permute s g b)
    | Pick p => Pick p
    end.

  (** ** Masks.  [keep k g] zeroes the channels of axis [g] from the [k h]-th of group [h] on. *)
  Definition keep (k : nat -> nat) (g : axis) : net :=
    Each (fun c x => if kept k g c then x else zero).

  (** A mask after every operation; the one that matters is the one after the
      activation, see [mask_before_activation_is_wrong] in NetworkExamples.v. *)
  Fixpoint masked (k : nat -> nat) (g : axis) (N : net) : net :=
    match N with
    | Id => Id
    | Mix h row => Seq (Mix h row) (keep k h)
    | Each f => Seq (Each f) (keep k g)
    | Seq a b => Seq (masked k g a) (masked k (out g a) b)
    | Zip f a b => Seq (Zip f (masked k g a) (masked k g b)) (keep k (out g a))
    | Cat a b => Cat (masked k g a) (masked k g b)
    | Pick p => Pick p
    end.

  (** The fewest masks that suffice: one in front of every mixing layer, that is,
      after the last activation, sum or product before it. *)
  Fixpoint masked_reads (k : nat -> nat) (g : axis) (N : net) : net :=
    match N with
    | Mix h row => Seq (keep k g) (Mix h row)
    | Seq a b => Seq (masked_reads k g a) (masked_reads k (out g a) b)
    | Zip f a b => Zip f (masked_reads k g a) (masked_reads k g b)
    | Cat a b => Cat (masked_reads k g a) (masked_reads k g b)
    | _ => N
    end.

  (** ** Slices.  [slice k] throws away every entry from [k h] on, of every array along
      group [h].  The sub-network of widths [k] is [run k] of the slice. *)
  Fixpoint slice (k : nat -> nat) (g : axis) (N : net) : net :=
    match N with
    | Id => Id
    | Mix h row => Mix h (fun o i x => if kept k h o && kept k g i then row o i x else zero)
    | Each f => Each (fun c x => if kept k g c then f c x else zero)
    | Seq a b => Seq (slice k g a) (slice k (out g a) b)
    | Zip f a b => Zip (fun c x y => if kept k (out g a) c then f c x y else zero)
                       (slice k g a) (slice k g b)
    | Cat a b => Cat (slice k g a) (slice k g b)
    | Pick p => Pick p
    end.

  (** *** Sums *)
  Lemma lsum_perm l l' : Permutation l l' -> lsum l == lsum l'.
  Proof.
    induction 1; simpl.
    - reflexivity.
    - rewrite IHPermutation. reflexivity.
    - rewrite !add_assoc. rewrite (add_comm _ y x). reflexivity.
    - etransitivity; eauto.
  Qed.

  Lemma total_ext f f' l : (forall i, In i l -> f i == f' i) -> total f l == total f' l.
  Proof.
    unfold total. induction l as [|i l IH]; intros H; simpl; [reflexivity|].
    rewrite (H i) by (left; reflexivity). rewrite IH; [reflexivity|].
    intros j Hj. apply H. right; auto.
  Qed.

  Lemma total_permute f W s g : (forall h, permutes (s h) (W h)) ->
    total (fun i => f (move s g i)) (channels W g) == total f (channels W g).
  Proof.
    intros H. unfold total. rewrite <- (map_map (move s g) f). apply lsum_perm.
    apply Permutation_map. apply channels_permuted. exact H.
  Qed.

  (** Channels that contribute zero can be left out. *)
  Lemma total_kept f k W g : (forall h, k h <= W h) ->
    (forall i, on W g i -> kept k g i = false -> f i == zero) ->
    total f (channels W g) == total f (channels k g).
  Proof.
    intros H Z. rewrite (channels_prefix k W g H).
    assert (Z' : forall i, In i (channels W g) -> kept k g i = false -> f i == zero)
      by (intros i Hi; apply Z, in_channels, Hi).
    clear Z. induction (channels W g) as [|i l IH]; [reflexivity|]. unfold total in *. simpl.
    assert (IH' : lsum (map f l) == lsum (map f (filter (kept k g) l)))
      by (apply IH; intros j Hj; apply Z'; right; exact Hj).
    destruct (kept k g i) eqn:E; simpl; rewrite IH'; [reflexivity|].
    rewrite (Z' i (or_introl eq_refl) E). apply add_zero.
  Qed.

  (** *** The axes stay. *)
  Lemma out_permute s N : forall g, out g (permute s g N) = out g N.
  Proof. induction N; intros g; simpl; auto; [rewrite IHN1|rewrite IHN1, IHN2]; auto. Qed.
  Lemma out_masked k N : forall g, out g (masked k g N) = out g N.
  Proof. induction N; intros g; simpl; auto; [rewrite IHN1|rewrite IHN1, IHN2]; auto. Qed.
  Lemma out_masked_reads k N : forall g, out g (masked_reads k g N) = out g N.
  Proof. induction N; intros g; simpl; auto; [rewrite IHN1|rewrite IHN1, IHN2]; auto. Qed.
  Lemma out_slice k N : forall g, out g (slice k g N) = out g N.
  Proof. induction N; intros g; simpl; auto; [rewrite IHN1|rewrite IHN1, IHN2]; auto. Qed.

  (** ** Theorem P1 (permutation). *)
  Theorem network_permutation W s N : forall g x y,
    (forall h, permutes (s h) (W h)) -> regular N -> tied g N ->
    (forall i, on W g i -> y i == x (move s g i)) ->
    forall o, on W (out g N) o -> run W g (permute s g N) y o == run W g N x (move s (out g N) o).
  Proof.
    induction N as [|h row|f|a IHa b IHb|f a IHa b IHb|a IHa b IHb|p];
      intros g x y Hs HR HT Hx o Ho; simpl in *.
    - apply Hx. exact Ho.
    - rewrite <- (total_permute (fun i => row (move s h o) i (x i)) W s g Hs).
      apply total_ext. intros i Hi. apply HR. apply Hx. apply in_channels. exact Hi.
    - apply HR. apply Hx. exact Ho.
    - rewrite out_permute. apply IHb; tauto || auto. intros i Hi. apply IHa; tauto || auto.
    - destruct HR as (Hf & Ra & Rb). destruct HT as (Ta & Tb & E).
      apply Hf; [apply IHa; auto|]. rewrite E. apply IHb; auto. rewrite <- E. exact Ho.
    - rewrite out_permute. destruct (Nat.ltb_spec (fst o) (length (out g a))) as [L|L].
      + rewrite (IHa g x y); try tauto; [|exact (on_before _ _ _ _ Ho L)].
        unfold move. simpl. rewrite (group_before _ _ _ L). reflexivity.
      + rewrite (IHb g x y); try tauto; [|exact (on_behind _ _ _ _ Ho L)].
        unfold move, behind. simpl. rewrite (group_behind _ _ _ L). reflexivity.
    - destruct (on_picked _ _ _ _ HT Ho) as [L H]. rewrite (Hx _ H).
      unfold move, taken. simpl. rewrite (group_picked p g o L). reflexivity.
  Qed.

  (** With the input and the output axes fixed, the network computes the same function. *)
  Corollary network_permutation_invariant W s N g x :
    (forall h, permutes (s h) (W h)) -> regular N -> tied g N ->
    (forall i, on W g i -> move s g i = i) ->
    (forall o, on W (out g N) o -> move s (out g N) o = o) ->
    forall o, on W (out g N) o -> run W g (permute s g N) x o == run W g N x o.
  Proof.
    intros Hs HR HT Hin Hout o Ho.
    rewrite (network_permutation W s N g x x); auto.
    - rewrite Hout by exact Ho. reflexivity.
    - intros i Hi. rewrite Hin by exact Hi. reflexivity.
  Qed.

  Lemma regular_masked k N : forall g, regular N -> regular (masked k g N).
  Proof.
    assert (K : forall g c, Proper (eqv ==> eqv) (fun x : F => if kept k g c then x else zero))
      by (intros g c x y H; destruct (kept k g c); [exact H|reflexivity]).
    induction N; intros g H; simpl in *; repeat split; try apply K; intuition auto.
  Qed.
  Lemma mixes_zero_masked k N : forall g, mixes_zero N -> mixes_zero (masked k g N).
  Proof. induction N; intros g H; simpl in *; intuition auto. Qed.
  Lemma tied_masked k N : forall g, tied g N -> tied g (masked k g N).
  Proof.
    induction N; intros g H; simpl in *; rewrite ?out_masked; intuition auto.
  Qed.

  (** ** Theorem P2 (prefix = mask), masks after every operation.

      The full network with masks, fed with an input that agrees with [x] on the kept
      channels and is zero on the others, agrees with the sub-network on the kept
      output channels and is zero on the others. *)
  Theorem network_prefix_mask_both W k N : forall g x y,
    (forall h, k h <= W h) -> regular N -> mixes_zero N -> tied g N ->
    (forall i, on k g i -> y i == x i) ->
    (forall i, on W g i -> kept k g i = false -> y i == zero) ->
    (forall o, on k (out g N) o -> run W g (masked k g N) y o == run k g N x o) /\
    (forall o, on W (out g N) o -> kept k (out g N) o = false -> run W g (masked k g N) y o == zero).
  Proof.
    induction N as [|h row|f|a IHa b IHb|f a IHa b IHb|a IHa b IHb|p];
      intros g x y Hk HR HZ HT Hx Hy; simpl in *.
    - split; auto.
    - split; intros o Ho.
      + rewrite (on_kept _ _ _ Ho). rewrite (total_kept _ k W g Hk).
        * apply total_ext. intros i Hi. apply HR. apply Hx. apply in_channels. exact Hi.
        * intros i H1 H2. rewrite (HR o i _ _ (Hy i H1 H2)). apply HZ.
      + intros ->. reflexivity.
    - split; intros o Ho.
      + rewrite (on_kept _ _ _ Ho). apply HR. apply Hx. exact Ho.
      + intros ->. reflexivity.
    - rewrite out_masked. destruct (IHa g x y) as [A1 A2]; try tauto.
      apply IHb; tauto.
    - destruct HR as (Hf & Ra & Rb). destruct HT as (Ta & Tb & E). split; intros o Ho.
      + rewrite (on_kept _ _ _ Ho).
        destruct (IHa g x y) as [A1 _]; try tauto. destruct (IHb g x y) as [B1 _]; try tauto.
        apply Hf; [apply A1, Ho|]. apply B1. rewrite <- E. exact Ho.
      + intros ->. reflexivity.
    - destruct (IHa g x y) as [A1 A2]; try tauto. destruct (IHb g x y) as [B1 B2]; try tauto.
      rewrite out_masked.
      split; intros o Ho; destruct (Nat.ltb_spec (fst o) (length (out g a))) as [L|L].
      + exact (A1 _ (on_before _ _ _ _ Ho L)).
      + exact (B1 _ (on_behind _ _ _ _ Ho L)).
      + intros K. apply A2; [exact (on_before _ _ _ _ Ho L)|].
        unfold kept in *. rewrite (group_before _ _ _ L) in K. exact K.
      + intros K. apply B2; [exact (on_behind _ _ _ _ Ho L)|].
        unfold kept in *. rewrite (group_behind _ _ _ L) in K. exact K.
    - split; intros o Ho; destruct (on_picked _ _ _ _ HT Ho) as [L H]; [apply Hx, H|].
      intros K. apply Hy; [exact H|]. unfold kept in *. rewrite (group_picked p g o L) in K. exact K.
  Qed.

  (** With a full input axis: the prefix sub-network IS the masked network. *)
  Corollary network_prefix_is_mask W k N g x :
    (forall h, k h <= W h) -> (forall h, In h g -> k h = W h) ->
    regular N -> mixes_zero N -> tied g N ->
    forall o, on k (out g N) o -> run k g N x o == run W g (masked k g N) x o.
  Proof.
    intros Hk Hg HR HZ HT o Ho. symmetry.
    apply network_prefix_mask_both; auto; [reflexivity|]. intros i [Hi H] K. exfalso.
    unfold kept in K. rewrite Hg in K by (apply nth_In; exact Hi). apply Nat.ltb_ge in K. lia.
  Qed.

  (** The same with the fewest masks. *)
  Theorem network_prefix_is_mask_at_reads W k N : forall g x y,
    (forall h, k h <= W h) -> regular N -> mixes_zero N -> tied g N ->
    (forall i, on k g i -> y i == x i) ->
    forall o, on k (out g N) o -> run k g N x o == run W g (masked_reads k g N) y o.
  Proof.
    induction N as [|h row|f|a IHa b IHb|f a IHa b IHb|a IHa b IHb|p];
      intros g x y Hk HR HZ HT Hx o Ho; simpl in *.
    - symmetry. auto.
    - symmetry. rewrite (total_kept _ k W g Hk).
      + apply total_ext. intros i Hi. apply in_channels in Hi. rewrite (on_kept _ _ _ Hi).
        apply HR. apply Hx. exact Hi.
      + intros i H1 ->. apply HZ.
    - apply HR. symmetry. auto.
    - rewrite out_masked_reads. apply IHb; try tauto.
      intros i Hi. symmetry. apply IHa; tauto.
    - destruct HR as (Hf & Ra & Rb). destruct HT as (Ta & Tb & E).
      apply Hf; [apply IHa; tauto|]. apply IHb; try tauto. rewrite <- E. exact Ho.
    - rewrite out_masked_reads. destruct (Nat.ltb_spec (fst o) (length (out g a))) as [L|L].
      + apply IHa; try tauto. exact (on_before _ _ _ _ Ho L).
      + apply IHb; try tauto. exact (on_behind _ _ _ _ Ho L).
    - destruct (on_picked _ _ _ _ HT Ho) as [_ H]. symmetry. apply Hx, H.
  Qed.

  Lemma regular_slice k N : forall g, regular N -> regular (slice k g N).
  Proof.
    induction N; intros g H; simpl in *; intuition auto.
    - intros x y E. destruct (kept k h o && kept k g i); [apply H; exact E|reflexivity].
    - intros x y E. destruct (kept k g c); [apply H; exact E|reflexivity].
    - intros x y E x' y' E'. destruct (kept k (out g N1) c); [apply H0; assumption|reflexivity].
  Qed.
  Lemma tied_slice k N : forall g, tied g N -> tied g (slice k g N).
  Proof. induction N; intros g H; simpl in *; rewrite ?out_slice; intuition auto. Qed.

  (** Networks written as a list of layers. *)
  Definition layers (l : list net) : net := fold_right Seq Id l.
End Networks.

Arguments Id {F}. Arguments Mix {F}. Arguments Each {F}. Arguments Seq {F}. Arguments Zip {F}.
Arguments Cat {F}. Arguments Pick {F}. Arguments lsum {F}.
Arguments out {F}. Arguments run {F}. Arguments tied {F}. Arguments regular {F}.
Arguments mixes_zero {F}. Arguments permute {F}. Arguments masked {F}. Arguments masked_reads {F}.
Arguments slice {F}. Arguments layers {F}. Arguments keep {F}. Arguments total {F}.

(** ** What every layer respects, the network respects

    [related R k g M N]: two networks of one form, perhaps over different feature maps,
    whose layers send related channels to related ones, among the channels kept at
    widths [k].  (A channel that is not kept is never read, and nothing is said of it.) *)
Section Relations.
  Variables F G : features.
  Variable R : F -> G -> Prop.

  Fixpoint related (k : nat -> nat) (g : axis) (M : net F) (N : net G) : Prop :=
    match M, N with
    | Id, Id => True
    | Mix h row, Mix h' row' => h = h' /\ forall o i x y, on k h o -> on k g i -> R x y ->
                                R (row o i x) (row' o i y)
    | Each f, Each f' => forall c x y, on k g c -> R x y -> R (f c x) (f' c y)
    | Seq a b, Seq a' b' => related k g a a' /\ related k (out g a) b b'
    | Zip f a b, Zip f' a' b' => related k g a a' /\ related k g b b' /\ out g a = out g b /\
        forall c x y x' y', on k (out g a) c -> R x y -> R x' y' -> R (f c x x') (f' c y y')
    | Cat a b, Cat a' b' => related k g a a' /\ related k g b b'
    | Pick p, Pick p' => p = p' /\ forall b, In b p -> b < length g
    | _, _ => False
    end.

  Lemma related_out k M : forall g N, related k g M N -> out g M = out g N.
  Proof.
    induction M; intros g [] H; simpl in *; try tauto; try (destruct H; congruence).
    - destruct H as [Ha Hb]. rewrite <- (IHM1 g _ Ha). auto.
    - destruct H as [Ha _]. auto.
    - destruct H as [Ha Hb]. rewrite (IHM1 g _ Ha), (IHM2 g _ Hb). reflexivity.
  Qed.

  Theorem network_related k M : forall g N x y,
    R zero zero -> (forall x y x' y', R x y -> R x' y' -> R (add x x') (add y y')) ->
    related k g M N -> (forall i, on k g i -> R (x i) (y i)) ->
    forall o, on k (out g M) o -> R (run k g M x o) (run k g N y o).
  Proof.
    intros g N x y Hz Ha. revert g N x y.
    induction M as [|h row|f|a IHa b IHb|f a IHa b IHb|a IHa b IHb|p];
      intros g [|h' row'|f'|a' b'|f' a' b'|a' b'|p'] x y H Hx o Ho; simpl in *; try tauto.
    - apply Hx, Ho.
    - destruct H as [-> H]. unfold total.
      assert (L : forall i, In i (channels k g) -> on k g i) by (intros i; apply in_channels).
      induction (channels k g) as [|i l IH]; simpl; [exact Hz|]. apply Ha.
      + apply H; [exact Ho|apply L; left; reflexivity|apply Hx, L; left; reflexivity].
      + apply IH. intros j Hj. apply L. right. exact Hj.
    - apply H; auto.
    - destruct H as [A B]. rewrite <- (related_out k a g a' A).
      apply (IHb _ _ _ _ B); [|exact Ho]. intros i Hi. apply IHa; auto.
    - destruct H as (A & B & E & H). apply H; [exact Ho|apply IHa; auto|].
      apply IHb; auto. rewrite <- E. exact Ho.
    - destruct H as [A B]. rewrite <- (related_out k a g a' A).
      destruct (Nat.ltb_spec (fst o) (length (out g a))) as [L|L].
      + apply IHa; auto. exact (on_before _ _ _ _ Ho L).
      + apply IHb; auto. exact (on_behind _ _ _ _ Ho L).
    - destruct H as [<- H]. apply Hx. exact (proj2 (on_picked _ _ _ _ H Ho)).
  Qed.
End Relations.
Arguments related {F G}.

(** ** Theorem P3 (restriction composes) *)
Section Composition.
  Variable F : features.
  Implicit Types N : net F.

  (** Networks that agree in the kept entries compute the same at these widths. *)
  Corollary network_agree k g (M N : net F) x y :
    related eqv k g M N -> (forall i, on k g i -> x i == y i) ->
    forall o, on k (out g M) o -> run k g M x o == run k g N y o.
  Proof.
    intros H Hx o Ho. apply network_related; auto; [reflexivity|].
    intros x1 y1 x2 y2 E1 E2. rewrite E1, E2. reflexivity.
  Qed.

  Lemma related_self k N : forall g, regular N -> tied g N -> related eqv k g N N.
  Proof.
    induction N; intros g HR HT; simpl in *; intuition auto.
    - apply HR. exact H1.
    - apply HR. exact H0.
    - apply H; assumption.
  Qed.
  Corollary run_ext k N g x y : regular N -> tied g N ->
    (forall i, on k g i -> x i == y i) -> forall o, on k (out g N) o -> run k g N x o == run k g N y o.
  Proof. intros HR HT. apply network_agree. apply related_self; assumption. Qed.

  (** The sub-network of widths [l] only reads what a slice to wider widths keeps ... *)
  Theorem network_slice k l N g x y :
    (forall h, l h <= k h) -> regular N -> tied g N ->
    (forall i, on l g i -> y i == x i) ->
    forall o, on l (out g N) o -> run l g (slice k g N) y o == run l g N x o.
  Proof.
    intros Hl HR HT Hx o Ho. apply network_agree; [|exact Hx|rewrite out_slice; exact Ho].
    clear x y o Hx Ho.
    assert (K : forall g c, on l g c -> kept k g c = true)
      by (intros g' c H; apply on_kept; exact (on_le _ _ _ _ Hl H)).
    revert g HR HT. induction N as [|h row|f|a IHa b IHb|f a IHa b IHb|a IHa b IHb|p];
      intros g HR HT; simpl in *; rewrite ?out_slice; intuition auto.
    - rewrite !K by assumption. apply HR. assumption.
    - rewrite K by assumption. apply HR. assumption.
    - rewrite K by assumption. apply H; assumption.
  Qed.

  (** ... so slicing to [k] and then to [l <= k] is slicing to [l]: (net|k)|l = net|l. *)
  Corollary network_prefix_composes k l N g x :
    (forall h, l h <= k h) -> regular N -> tied g N ->
    forall o, on l (out g N) o ->
    run l g (slice l g (slice k g N)) x o == run l g (slice l g N) x o.
  Proof.
    intros Hl HR HT o Ho.
    rewrite (network_slice l l (slice k g N) g x x); auto using regular_slice, tied_slice.
    - rewrite (network_slice k l N g x x); auto; [|reflexivity].
      rewrite (network_slice l l N g x x); auto; reflexivity.
    - reflexivity.
    - rewrite out_slice. exact Ho.
  Qed.

  (** The same for masks: masks of widths [l] on top of masks of widths [k]. *)
  Corollary network_masks_compose W k l N g x :
    (forall h, l h <= k h) -> (forall h, k h <= W h) -> (forall h, In h g -> l h = W h) ->
    regular N -> mixes_zero N -> tied g N ->
    forall o, on l (out g N) o -> run W g (masked l g (masked k g N)) x o == run l g N x o.
  Proof.
    intros Hl Hk Hg HR HZ HT o Ho.
    assert (Hlw : forall h, l h <= W h) by (intros h; specialize (Hl h); specialize (Hk h); lia).
    rewrite <- (network_prefix_is_mask F W l (masked k g N) g x);
      auto using regular_masked, mixes_zero_masked, tied_masked; [|rewrite out_masked; exact Ho].
    (* at widths l the masks of widths k do nothing *)
    assert (K : forall g c, on l g c -> kept k g c = true)
      by (intros g' c H; apply on_kept; exact (on_le _ _ _ _ Hl H)).
    assert (G : forall N g x y, regular N -> tied g N -> (forall i, on l g i -> y i == x i) ->
              forall o, on l (out g N) o -> run l g (masked k g N) y o == run l g N x o).
    { clear - K. induction N as [|h row|f|a IHa b IHb|f a IHa b IHb|a IHa b IHb|p];
        intros g x y HR HT Hx o Ho; simpl in *.
      - auto.
      - rewrite K by exact Ho. apply total_ext. intros i Hi. apply HR, Hx, in_channels, Hi.
      - rewrite K by exact Ho. apply HR. auto.
      - rewrite out_masked. apply IHb; try tauto. intros i Hi. apply IHa; tauto.
      - destruct HR as (Hf & Ra & Rb). destruct HT as (Ta & Tb & E). rewrite K by exact Ho.
        apply Hf; [apply IHa; auto|]. apply IHb; auto. rewrite <- E. exact Ho.
      - rewrite out_masked. destruct (Nat.ltb_spec (fst o) (length (out g a))) as [L|L].
        + apply IHa; try tauto. exact (on_before _ _ _ _ Ho L).
        + apply IHb; try tauto. exact (on_behind _ _ _ _ Ho L).
      - apply Hx. exact (proj2 (on_picked _ _ _ _ HT Ho)). }
    apply G; auto. reflexivity.
  Qed.
End Composition.
