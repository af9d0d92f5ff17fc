(** * Network.v -- whole networks: permutation invariance, and prefix = mask

    A network computes with channels.  What a channel carries (a number, an image,
    a sequence) is an element of a commutative monoid, its feature map; all that
    the theorems need is that feature maps can be added in any order.

    Channels belong to groups; every channel axis that must be reordered together
    carries the same group number.  A group [h] has [W h] channels, and an array
    along it is a function that is read at 0 .. W h - 1 only.  The network is built from

    - [Mix h row]: a new group [h] whose channel [o] is the sum over the channels [i] of
      the current group of [row o i] applied to channel [i]: a dense layer (multiply
      by a weight), a convolution (convolve with kernel o,i), a dense layer after
      a flatten (channel i with its own H*W rows);
    - [Each f]: channel [i] goes through [f i]: bias, batch normalisation in inference
      mode, activation, depthwise convolution, pooling, in any combination;
    - [Seq a b]: first [a], then [b];
    - [Sum a b]: both on the same input, added: a residual connection ([Sum Id b]), or
      two branches; a concatenation followed by a layer is such a sum as well.    *)
From Coq Require Import Arith ZArith List Permutation Lia Bool Setoid Morphisms.
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

Section Networks.
  Variable F : features.

  Inductive net :=
  | Id
  | Mix (h : nat) (row : nat -> nat -> F -> F)
  | Each (f : nat -> F -> F)
  | Seq (a b : net)
  | Sum (a b : net).

  (** The group of the output, when [g] is the group of the input. *)
  Fixpoint out (g : nat) (N : net) : nat :=
    match N with
    | Id => g
    | Mix h _ => h
    | Each _ => g
    | Seq a b => out (out g a) b
    | Sum a _ => out g a
    end.

  (** What is added must share a group. *)
  Fixpoint tied (g : nat) (N : net) : Prop :=
    match N with
    | Seq a b => tied g a /\ tied (out g a) b
    | Sum a b => tied g a /\ tied g b /\ out g a = out g b
    | _ => True
    end.

  Definition lsum (l : list F) : F := fold_right add zero l.
  Definition total (f : nat -> F) (m : nat) : F := lsum (map f (seq 0 m)).

  (** The function that the network computes, with [W h] channels in group [h]. *)
  Fixpoint run (W : nat -> nat) (g : nat) (N : net) (x : nat -> F) : nat -> F :=
    match N with
    | Id => x
    | Mix h row => fun o => total (fun i => row o i (x i)) (W g)
    | Each f => fun i => f i (x i)
    | Seq a b => run W (out g a) b (run W g a x)
    | Sum a b => fun i => add (run W g a x i) (run W g b x i)
    end.

  (** Every map respects equality of feature maps (trivial for numbers). *)
  Fixpoint regular (N : net) : Prop :=
    match N with
    | Id => True
    | Mix _ row => forall o i, Proper (eqv ==> eqv) (row o i)
    | Each f => forall i, Proper (eqv ==> eqv) (f i)
    | Seq a b | Sum a b => regular a /\ regular b
    end.

  (** A mixing layer sends the zero channel to zero: it has no bias of its own.
      Activations and biases (in [Each]) may do with zero what they like. *)
  Fixpoint mixes_zero (N : net) : Prop :=
    match N with
    | Mix _ row => forall o i, row o i zero == zero
    | Seq a b | Sum a b => mixes_zero a /\ mixes_zero b
    | _ => True
    end.

  (** ** One permutation per group, applied to every axis in the group. *)
  Definition permutes (s : nat -> nat) (m : nat) :=
    (forall i, i < m -> s i < m) /\
    (forall i j, i < m -> j < m -> s i = s j -> i = j).

  Fixpoint permute (s : nat -> nat -> nat) (g : nat) (N : net) : net :=
    match N with
    | Id => Id
    | Mix h row => Mix h (fun o i => row (s h o) (s g i))
    | Each f => Each (fun i => f (s g i))
    | Seq a b => Seq (permute s g a) (permute s (out g a) b)
    | Sum a b => Sum (permute s g a) (permute s g b)
    end.

  (** ** Masks.  [keep k h] zeroes the channels of group [h] from the [k h]-th on. *)
  Definition keep (k : nat -> nat) (h : nat) : net :=
    Each (fun i x => if i <? k h then x else zero).

  (** A mask after every operation; the one that matters is the one after the
      activation, see [mask_before_activation_is_wrong]. *)
  Fixpoint masked (k : nat -> nat) (g : nat) (N : net) : net :=
    match N with
    | Id => Id
    | Mix h row => Seq (Mix h row) (keep k h)
    | Each f => Seq (Each f) (keep k g)
    | Seq a b => Seq (masked k g a) (masked k (out g a) b)
    | Sum a b => Seq (Sum (masked k g a) (masked k g b)) (keep k (out g a))
    end.

  (** The fewest masks that suffice: one in front of every mixing layer, that is,
      after the last activation or residual sum before it. *)
  Fixpoint masked_reads (k : nat -> nat) (g : nat) (N : net) : net :=
    match N with
    | Mix h row => Seq (keep k g) (Mix h row)
    | Seq a b => Seq (masked_reads k g a) (masked_reads k (out g a) b)
    | Sum a b => Sum (masked_reads k g a) (masked_reads k g b)
    | _ => N
    end.

  (** ** Slices.  [slice k] throws away every entry from [k h] on, of every array along
      group [h].  The sub-network of widths [k] is [run k] of the slice. *)
  Fixpoint slice (k : nat -> nat) (g : nat) (N : net) : net :=
    match N with
    | Id => Id
    | Mix h row => Mix h (fun o i x => if (o <? k h) && (i <? k g) then row o i x else zero)
    | Each f => Each (fun i x => if i <? k g then f i x else zero)
    | Seq a b => Seq (slice k g a) (slice k (out g a) b)
    | Sum a b => Sum (slice k g a) (slice k g b)
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

  Lemma lsum_ext (f f' : nat -> F) l :
    (forall i, In i l -> f i == f' i) -> lsum (map f l) == lsum (map f' l).
  Proof.
    induction l as [|i l IH]; intros H; simpl; [reflexivity|].
    rewrite (H i) by (left; reflexivity). rewrite IH; [reflexivity|].
    intros j Hj. apply H. right; auto.
  Qed.

  Lemma total_ext f f' m : (forall i, i < m -> f i == f' i) -> total f m == total f' m.
  Proof. intros H. apply lsum_ext. intros i Hi. apply in_seq in Hi. apply H. lia. Qed.

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

  Lemma total_permute f s m : permutes s m -> total (fun i => f (s i)) m == total f m.
  Proof.
    intros H. unfold total. rewrite <- (map_map s f). apply lsum_perm.
    apply Permutation_map. apply permutes_seq. exact H.
  Qed.

  Lemma lsum_app l l' : lsum (l ++ l') == add (lsum l) (lsum l').
  Proof.
    induction l as [|x l IH]; simpl; [rewrite add_zero; reflexivity|].
    rewrite IH, add_assoc. reflexivity.
  Qed.

  Lemma lsum_zero (f : nat -> F) l : (forall i, In i l -> f i == zero) -> lsum (map f l) == zero.
  Proof.
    induction l as [|x l IH]; intros H; simpl; [reflexivity|].
    rewrite (H x) by (left; auto). rewrite add_zero. apply IH. intros j Hj. apply H; right; auto.
  Qed.

  Lemma total_restrict f k m : k <= m -> (forall i, k <= i -> i < m -> f i == zero) ->
    total f m == total f k.
  Proof.
    intros H Z. unfold total. replace m with (k + (m - k)) by lia.
    rewrite seq_app, map_app, lsum_app, add_comm, lsum_zero, add_zero; [reflexivity|].
    intros i Hi. apply in_seq in Hi. apply Z; lia.
  Qed.

  (** ** Theorem P1 (permutation). *)
  Theorem network_permutation W s N : forall g x y,
    (forall h, permutes (s h) (W h)) -> regular N -> tied g N ->
    (forall i, i < W g -> y i == x (s g i)) ->
    forall o, o < W (out g N) -> run W g (permute s g N) y o == run W g N x (s (out g N) o).
  Proof.
    induction N as [|h row|f|a IHa b IHb|a IHa b IHb]; intros g x y Hs HR HT Hx o Ho; simpl in *.
    - apply Hx. exact Ho.
    - rewrite <- (total_permute (fun i => row (s h o) i (x i)) (s g) (W g) (Hs g)).
      apply total_ext. intros i Hi. apply HR. apply Hx. exact Hi.
    - apply HR. apply Hx. exact Ho.
    - assert (E : out g (permute s g a) = out g a).
      { clear. revert g. induction a as [|h row|f|a IHa b IHb|a IHa b IHb]; intros g; simpl; auto.
        rewrite IHa. apply IHb. }
      rewrite E. apply IHb; tauto || auto. intros i Hi. apply IHa; tauto || auto.
    - destruct HT as (Ta & Tb & E). rewrite (IHa g x y) by tauto || auto.
      rewrite (IHb g x y); try tauto; [rewrite E; reflexivity|rewrite <- E; exact Ho].
  Qed.

  (** With the input and the output axes fixed, the network computes the same function. *)
  Corollary network_permutation_invariant W s N g x :
    (forall h, permutes (s h) (W h)) -> regular N -> tied g N ->
    (forall i, s g i = i) -> (forall o, s (out g N) o = o) ->
    forall o, o < W (out g N) -> run W g (permute s g N) x o == run W g N x o.
  Proof.
    intros Hs HR HT Hin Hout o Ho.
    rewrite (network_permutation W s N g x x); auto.
    - rewrite Hout. reflexivity.
    - intros i _. rewrite Hin. reflexivity.
  Qed.

  (** *** Every network respects equality of its inputs. *)
  Lemma run_ext W N : forall g x y, regular N -> tied g N ->
    (forall i, i < W g -> x i == y i) -> forall o, o < W (out g N) -> run W g N x o == run W g N y o.
  Proof.
    induction N as [|h row|f|a IHa b IHb|a IHa b IHb]; intros g x y HR HT Hx o Ho; simpl in *.
    - apply Hx. exact Ho.
    - apply total_ext. intros i Hi. apply HR. apply Hx. exact Hi.
    - apply HR. apply Hx. exact Ho.
    - apply IHb; tauto || auto. intros i Hi. apply IHa; tauto || auto.
    - destruct HT as (Ta & Tb & E). rewrite (IHa g x y) by tauto || auto.
      rewrite (IHb g x y); try tauto; [reflexivity|rewrite <- E; exact Ho].
  Qed.

  Lemma out_masked k N : forall g, out g (masked k g N) = out g N.
  Proof. induction N; intros g; simpl; auto. rewrite IHN1. apply IHN2. Qed.
  Lemma out_masked_reads k N : forall g, out g (masked_reads k g N) = out g N.
  Proof. induction N; intros g; simpl; auto. rewrite IHN1. apply IHN2. Qed.
  Lemma out_slice k N : forall g, out g (slice k g N) = out g N.
  Proof. induction N; intros g; simpl; auto. rewrite IHN1. apply IHN2. Qed.

  Lemma keep_proper (k : nat -> nat) h i : Proper (eqv ==> eqv) (fun x : F => if i <? k h then x else zero).
  Proof. intros x y H. destruct (i <? k h); [exact H|reflexivity]. Qed.
  Lemma regular_masked k N : forall g, regular N -> regular (masked k g N).
  Proof.
    induction N; intros g H; simpl in *; auto.
    - split; auto. intros i. apply keep_proper.
    - split; auto. intros i. apply keep_proper.
    - split; [apply IHN1|apply IHN2]; tauto.
    - split; [split; [apply IHN1|apply IHN2]; tauto|]. intros i. apply keep_proper.
  Qed.
  Lemma mixes_zero_masked k N : forall g, mixes_zero N -> mixes_zero (masked k g N).
  Proof. induction N; intros g H; simpl in *; intuition auto. Qed.
  Lemma tied_masked k N : forall g, tied g N -> tied g (masked k g N).
  Proof.
    induction N; intros g H; simpl in *; auto.
    - destruct H. split; auto. rewrite out_masked. auto.
    - destruct H as (? & ? & ?). rewrite !out_masked. auto.
  Qed.

  (** ** Theorem P2 (prefix = mask), masks after every operation.

      The full network with masks, fed with an input that agrees with [x] on the kept
      channels and is zero on the others, agrees with the sub-network on the kept
      output channels and is zero on the others. *)
  Theorem network_prefix_mask_both W k N : forall g x y,
    (forall h, k h <= W h) -> regular N -> mixes_zero N -> tied g N ->
    (forall i, i < k g -> y i == x i) ->
    (forall i, k g <= i -> i < W g -> y i == zero) ->
    (forall o, o < k (out g N) -> run W g (masked k g N) y o == run k g N x o) /\
    (forall o, k (out g N) <= o -> o < W (out g N) -> run W g (masked k g N) y o == zero).
  Proof.
    induction N as [|h row|f|a IHa b IHb|a IHa b IHb];
      intros g x y Hk HR HZ HT Hx Hy; simpl in *.
    - split; auto.
    - split; intros o Ho.
      + destruct (Nat.ltb_spec o (k h)); [|lia].
        rewrite (total_restrict _ (k g) (W g) (Hk g)).
        * apply total_ext. intros i Hi. apply HR. apply Hx. exact Hi.
        * intros i H1 H2. rewrite (HR o i _ _ (Hy i H1 H2)). apply HZ.
      + intros _. destruct (Nat.ltb_spec o (k h)); [lia|reflexivity].
    - split; intros o Ho.
      + destruct (Nat.ltb_spec o (k g)); [|lia]. apply HR. apply Hx. exact Ho.
      + intros _. destruct (Nat.ltb_spec o (k g)); [lia|reflexivity].
    - rewrite out_masked. destruct (IHa g x y) as [A1 A2]; try tauto.
      apply IHb; tauto.
    - destruct HT as (Ta & Tb & E). split; intros o Ho.
      + destruct (Nat.ltb_spec o (k (out g a))); [|lia].
        destruct (IHa g x y) as [A1 _]; try tauto. destruct (IHb g x y) as [B1 _]; try tauto.
        rewrite A1 by exact Ho. rewrite B1 by (rewrite <- E; exact Ho). reflexivity.
      + intros _. destruct (Nat.ltb_spec o (k (out g a))); [lia|reflexivity].
  Qed.

  (** With a full input axis: the prefix sub-network IS the masked network. *)
  Corollary network_prefix_is_mask W k N g x :
    (forall h, k h <= W h) -> k g = W g -> regular N -> mixes_zero N -> tied g N ->
    forall o, o < k (out g N) -> run k g N x o == run W g (masked k g N) x o.
  Proof.
    intros Hk Hg HR HZ HT o Ho. symmetry.
    apply network_prefix_mask_both; auto; [reflexivity|intros; lia].
  Qed.

  (** The same with the fewest masks. *)
  Theorem network_prefix_is_mask_at_reads W k N : forall g x y,
    (forall h, k h <= W h) -> regular N -> mixes_zero N -> tied g N ->
    (forall i, i < k g -> y i == x i) ->
    forall o, o < k (out g N) -> run k g N x o == run W g (masked_reads k g N) y o.
  Proof.
    induction N as [|h row|f|a IHa b IHb|a IHa b IHb];
      intros g x y Hk HR HZ HT Hx o Ho; simpl in *.
    - symmetry. auto.
    - symmetry. rewrite (total_restrict _ (k g) (W g) (Hk g)).
      + apply total_ext. intros i Hi. destruct (Nat.ltb_spec i (k g)); [|lia].
        apply HR. apply Hx. exact Hi.
      + intros i H1 H2. destruct (Nat.ltb_spec i (k g)); [lia|]. apply HZ.
    - apply HR. symmetry. auto.
    - rewrite out_masked_reads. apply IHb; try tauto.
      intros i Hi. symmetry. apply IHa; tauto.
    - destruct HT as (Ta & Tb & E). rewrite (IHa g x y) by tauto.
      rewrite (IHb g x y); try tauto; [reflexivity|]. rewrite <- E. exact Ho.
  Qed.

  (** ** Theorem P3 (restriction composes).

      The sub-network of widths [l] only reads what a slice to wider widths keeps ... *)
  Theorem network_slice k l N : forall g x y,
    (forall h, l h <= k h) -> regular N -> tied g N ->
    (forall i, i < l g -> y i == x i) ->
    forall o, o < l (out g N) -> run l g (slice k g N) y o == run l g N x o.
  Proof.
    intros g x y Hl. revert g x y.
    induction N as [|h row|f|a IHa b IHb|a IHa b IHb];
      intros g x y HR HT Hx o Ho; simpl in *.
    - auto.
    - apply total_ext. intros i Hi. pose proof (Hl h). pose proof (Hl g).
      destruct (Nat.ltb_spec o (k h)), (Nat.ltb_spec i (k g)); try lia. simpl.
      apply HR. apply Hx. exact Hi.
    - pose proof (Hl g). destruct (Nat.ltb_spec o (k g)); [|lia]. apply HR. apply Hx. exact Ho.
    - rewrite out_slice. apply IHb; try tauto. intros i Hi. apply IHa; tauto.
    - destruct HT as (Ta & Tb & E). rewrite (IHa g x y) by tauto.
      rewrite (IHb g x y); try tauto; [reflexivity|]. rewrite <- E. exact Ho.
  Qed.

  Lemma regular_slice k N : forall g, regular N -> regular (slice k g N).
  Proof.
    induction N as [|h row|f|a IHa b IHb|a IHa b IHb]; intros g H; simpl in *; auto.
    - intros o i x y E. destruct ((o <? k h) && (i <? k g)); [apply H; exact E|reflexivity].
    - intros i x y E. destruct (i <? k g); [apply H; exact E|reflexivity].
    - split; [apply IHa|apply IHb]; tauto.
    - split; [apply IHa|apply IHb]; tauto.
  Qed.
  Lemma tied_slice k N : forall g, tied g N -> tied g (slice k g N).
  Proof.
    induction N; intros g H; simpl in *; auto.
    - destruct H. split; auto. rewrite out_slice. auto.
    - destruct H as (? & ? & ?). rewrite !out_slice. auto.
  Qed.

  (** ... so slicing to [k] and then to [l <= k] is slicing to [l]: (net|k)|l = net|l. *)
  Corollary network_prefix_composes k l N g x :
    (forall h, l h <= k h) -> regular N -> tied g N ->
    forall o, o < l (out g N) ->
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
    (forall h, l h <= k h) -> (forall h, k h <= W h) -> l g = W g ->
    regular N -> mixes_zero N -> tied g N ->
    forall o, o < l (out g N) -> run W g (masked l g (masked k g N)) x o == run l g N x o.
  Proof.
    intros Hl Hk Hg HR HZ HT o Ho.
    assert (Hlw : forall h, l h <= W h) by (intros h; specialize (Hl h); specialize (Hk h); lia).
    rewrite <- (network_prefix_is_mask W l (masked k g N) g x);
      auto using regular_masked, mixes_zero_masked, tied_masked; [|rewrite out_masked; exact Ho].
    (* at widths l the masks of widths k do nothing *)
    assert (G : forall N g x y, regular N -> tied g N -> (forall i, i < l g -> y i == x i) ->
              forall o, o < l (out g N) -> run l g (masked k g N) y o == run l g N x o).
    { clear - Hl. induction N as [|h row|f|a IHa b IHb|a IHa b IHb];
        intros g x y HR HT Hx o Ho; simpl in *.
      - auto.
      - pose proof (Hl h). destruct (Nat.ltb_spec o (k h)); [|lia].
        apply total_ext. intros i Hi. apply HR. auto.
      - pose proof (Hl g). destruct (Nat.ltb_spec o (k g)); [|lia]. apply HR. auto.
      - rewrite out_masked. apply IHb; try tauto. intros i Hi. apply IHa; tauto.
      - destruct HT as (Ta & Tb & E). pose proof (Hl (out g a)).
        destruct (Nat.ltb_spec o (k (out g a))); [|lia].
        rewrite (IHa g x y) by tauto. rewrite (IHb g x y); try tauto; [reflexivity|].
        rewrite <- E. exact Ho. }
    apply G; auto. reflexivity.
  Qed.

  (** Networks written as a list of layers. *)
  Definition layers (l : list net) : net := fold_right Seq Id l.
End Networks.

Arguments Id {F}. Arguments Mix {F}. Arguments Each {F}. Arguments Seq {F}. Arguments Sum {F}.
Arguments out {F}. Arguments run {F}. Arguments tied {F}. Arguments regular {F}.
Arguments mixes_zero {F}. Arguments permute {F}. Arguments masked {F}. Arguments masked_reads {F}.
Arguments slice {F}. Arguments layers {F}. Arguments keep {F}. Arguments total {F}.

(** ** Numbers as channels: dense layers with batch normalisation *)
#[local] Open Scope Z_scope.

Definition numbers : features.
Proof.
  refine {| car := Z; eqv := eq; zero := 0; add := Z.add |}; intros; lia.
Defined.

(** A dense layer with weights [A], bias [b], batch normalisation in inference mode
    ([gamma], [mean], [istd] = 1/sqrt(variance + eps), [beta]) and activation [act]. *)
Definition dense (h : nat) (A : nat -> nat -> Z) (b gamma istd mean beta : nat -> Z)
    (act : Z -> Z) : net numbers :=
  Seq (Mix (F := numbers) h (fun o i x => A o i * x))
      (Each (F := numbers) (fun o z => act (gamma o * (z + b o - mean o) * istd o + beta o))).

(** What [permute] does to it: the rows and columns of the weights, and every vector of
    the layer, mean and deviation included, follow the permutation of the group. *)
Theorem dense_permute s g h A b gamma istd mean beta act :
  permute s g (dense h A b gamma istd mean beta act) =
  dense h (fun o i => A (s h o) (s g i)) (fun o => b (s h o)) (fun o => gamma (s h o))
        (fun o => istd (s h o)) (fun o => mean (s h o)) (fun o => beta (s h o)) act.
Proof. reflexivity. Qed.

Lemma regular_numbers (N : net numbers) : regular N.
Proof. induction N; simpl; auto; intros; intros x y E; simpl in *; congruence. Qed.

Lemma dense_mixes_zero h A b gamma istd mean beta act :
  mixes_zero (dense h A b gamma istd mean beta act).
Proof. split; [|exact I]. intros o i. apply Z.mul_0_r. Qed.

(** ** Images as channels: convolutions

    A feature map is a function from positions to numbers, equal if equal everywhere
    (no extensionality axiom).  A kernel is a list of taps (offset, offset, weight);
    a tap reads the input at stride * position + offset. *)
Definition images : features.
Proof.
  refine {| car := Z * Z -> Z; eqv := fun x y => forall t, x t = y t;
            zero := fun _ => 0; add := fun x y t => x t + y t |}.
  - split; [intros x t; reflexivity|intros x y H t; symmetry; apply H|].
    intros x y z H K t. rewrite H. apply K.
  - intros x y H x' y' H' t. rewrite H, H'. reflexivity.
  - intros; lia.
  - intros; lia.
  - intros; lia.
Defined.

Definition kernel := list (Z * Z * Z).
Fixpoint conv (stride : Z) (K : kernel) (x : images) : images :=
  match K with
  | [] => fun _ => 0
  | (d, e, a) :: K' => fun t =>
      a * x (stride * fst t + d, stride * snd t + e) + conv stride K' x t
  end.

Lemma conv_proper stride K : Proper (eqv ==> eqv) (conv stride K).
Proof.
  induction K as [|[[d e] a] K IH]; intros x y H t; simpl; [reflexivity|].
  rewrite (H (_, _)), (IH x y H t). reflexivity.
Qed.
Lemma conv_zero stride K : conv stride K zero == zero.
Proof. induction K as [|[[d e] a] K IH]; intros t; simpl in *; [reflexivity|]. rewrite IH. lia. Qed.
Lemma conv_additive stride K x y : conv stride K (add x y) == add (conv stride K x) (conv stride K y).
Proof. induction K as [|[[d e] a] K IH]; intros t; simpl in *; [reflexivity|]. rewrite IH. lia. Qed.

(** Convolution, batch normalisation, activation; and the depthwise convolution. *)
Definition conv_layer (h : nat) (stride : Z) (K : nat -> nat -> kernel)
    (gamma istd mean beta : nat -> Z) (act : Z -> Z) : net images :=
  Seq (Mix (F := images) h (fun o i => conv stride (K o i)))
      (Each (F := images) (fun o z t => act (gamma o * (z t - mean o) * istd o + beta o))).
Definition depthwise (stride : Z) (K : nat -> kernel) (bias : nat -> Z) (act : Z -> Z) : net images :=
  Each (F := images) (fun i x t => act (conv stride (K i) x t + bias i)).

Lemma conv_layer_regular h stride K gamma istd mean beta act :
  regular (conv_layer h stride K gamma istd mean beta act).
Proof.
  split; [intros o i; apply conv_proper|]. intros i x y H t. simpl. rewrite (H t). reflexivity.
Qed.
Lemma conv_layer_mixes_zero h stride K gamma istd mean beta act :
  mixes_zero (conv_layer h stride K gamma istd mean beta act).
Proof. split; [|exact I]. intros o i. apply conv_zero. Qed.
Lemma depthwise_regular stride K bias act : regular (depthwise stride K bias act).
Proof. intros i x y H t. simpl. rewrite (conv_proper stride (K i) x y H t). reflexivity. Qed.

(** A convolutional network of any shape: a stem, a residual block (convolution,
    depthwise convolution, projection back into the stem's group), a head.
    Groups: 0 input, 1 stem and residual, 2 inside the block, 3 output. *)
Section ResidualExample.
  Variables K1 K2 K3 K4 : nat -> nat -> kernel.
  Variable Kd : nat -> kernel.
  Variables gamma istd mean beta bias : nat -> Z.
  Variable act : Z -> Z.
  Definition residual_net : net images :=
    layers [ conv_layer 1 1 K1 gamma istd mean beta act;
             Sum Id (layers [ conv_layer 2 1 K2 gamma istd mean beta act;
                              depthwise 1 Kd bias act;
                              conv_layer 1 1 K3 gamma istd mean beta act ]);
             conv_layer 3 2 K4 gamma istd mean beta act ].
  Lemma residual_net_ok :
    regular residual_net /\ mixes_zero residual_net /\ tied 0 residual_net.
  Proof.
    unfold residual_net, layers. simpl.
    repeat match goal with
    | |- _ /\ _ => split
    | |- True => exact I
    | |- _ = _ => reflexivity
    | |- forall o i, Proper _ _ => intros o i; apply conv_proper
    | |- forall o i, conv _ _ _ == _ => intros o i; apply conv_zero
    end.
    all: try (intros i x y H t; simpl; rewrite ?(H t); reflexivity).
    all: try (intros o i; apply conv_zero).
    intros i x y H t. rewrite (conv_proper 1 (Kd i) x y H t). reflexivity.
  Qed.

  Corollary residual_net_permutation_invariant W s x :
    (forall h, permutes (s h) (W h)) -> (forall i, s 0%nat i = i) -> (forall i, s 3%nat i = i) ->
    forall o, (o < W 3%nat)%nat ->
      run W 0 (permute s 0 residual_net) x o == run W 0 residual_net x o.
  Proof.
    intros Hs H0 H3. destruct residual_net_ok as (R & _ & T).
    apply (network_permutation_invariant images W s residual_net 0 x Hs R T H0 H3).
  Qed.

  Corollary residual_net_prefix_is_mask W k x :
    (forall h, (k h <= W h)%nat) -> k 0%nat = W 0%nat ->
    forall o, (o < k 3%nat)%nat ->
      run k 0 residual_net x o == run W 0 (masked k 0 residual_net) x o.
  Proof.
    intros Hk H0. destruct residual_net_ok as (R & Z & T).
    apply (network_prefix_is_mask images W k residual_net 0 x Hk H0 R Z T).
  Qed.
End ResidualExample.

(** ** What goes wrong otherwise: four small counterexamples over the integers. *)
Definition swap (i : nat) : nat := match i with 0 => 1 | 1 => 0 | _ => i end%nat.
Definition idn (i : nat) : nat := i.
Definition ones (_ : nat) := 1.
Definition zeros (_ : nat) := 0.
Definition plus_one (z : Z) := z + 1.
Definition relu (z : Z) := Z.max 0 z.

(** A hidden layer (group 1) and an output layer (group 2). *)
Definition small (mean : nat -> Z) (A : nat -> nat -> Z) (act : Z -> Z) : net numbers :=
  layers [ dense 1 A zeros ones ones mean zeros act;
           dense 2 (fun _ _ => 1) zeros ones ones zeros zeros (fun z => z) ].

(** A mask BEFORE the activation (here only there) is wrong as soon as act(0) <> 0: cutting
    the only hidden unit away gives 0, masking it before the activation gives 1. *)
Theorem mask_before_activation_is_wrong :
  exists (first_half second_half : net numbers) (W k : nat -> nat) (x : nat -> Z),
    (forall h, (k h <= W h)%nat) /\
    run k 0 (Seq first_half second_half) x 0%nat <>
    run W 0 (Seq first_half (Seq (keep k 1) second_half)) x 0%nat.
Proof.
  exists (Mix (F := numbers) 1 (fun _ _ x => x)),
         (Seq (Each (F := numbers) (fun _ => plus_one)) (Mix (F := numbers) 2 (fun _ _ x => x))),
         (fun _ => 1%nat), (fun h => match h with 1 => 0 | _ => 1 end%nat), zeros.
  split; [intros [|[|h]]; lia|]. vm_compute. discriminate.
Qed.

(** Permuting everything but the mean of one batch normalisation changes the function:
    two hidden units with weights 1 and 2 and means 0 and 3, swapped. *)
Theorem missed_mean_changes_the_function :
  exists (A : nat -> nat -> Z) (mean : nat -> Z) (x : nat -> Z),
    let W := fun h => match h with 1 => 2 | _ => 1 end%nat in
    let s := fun h => match h with 1%nat => swap | _ => idn end in
    run W 0 (permute s 0 (small mean A relu)) x 0%nat = run W 0 (small mean A relu) x 0%nat /\
    run W 0 (small mean (fun o i => A (swap o) i) relu) x 0%nat <>
    run W 0 (small mean A relu) x 0%nat.
Proof.
  exists (fun o _ => match o with 0%nat => 1 | _ => 2 end),
         (fun o => match o with 0%nat => 0 | _ => 3 end), ones.
  split; [reflexivity|]. vm_compute. discriminate.
Qed.

(** Layer normalisation subtracts the mean over the channels.  [centre m x i] is m times
    what is left of channel i among m channels (times m, to stay with integers); layer
    normalisation then divides by a positive number. *)
Definition centre (m : nat) (x : nat -> Z) (i : nat) : Z :=
  Z.of_nat m * x i - total (F := numbers) x m.

Theorem layer_norm_permutation_equivariant m s x i :
  permutes s m -> centre m (fun j => x (s j)) i = centre m x (s i).
Proof.
  intros H. unfold centre. pose proof (total_permute numbers x s m H) as E. simpl in E.
  rewrite E. reflexivity.
Qed.

(** One kept channel of two: alone it is centred to 0; in the masked network it is not,
    whatever the positive scale. *)
Theorem layer_norm_not_prefix_nested :
  exists x : nat -> Z, forall scale scale', 0 < scale -> 0 < scale' ->
    scale * centre 1 x 0 <>
    scale' * centre 2 (fun i => if (i <? 1)%nat then x i else 0) 0.
Proof. exists ones. intros a b Ha Hb. vm_compute centre. lia. Qed.
