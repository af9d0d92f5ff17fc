(** * Programs.v -- one weight store: layers used twice, batch statistics, recalibration

    In Network.v a layer carries its numbers.  Here the numbers are in a store, as in the
    library, and a program names its layers: two places that name the same layer share its
    weights.  Permuting and cutting act on the store, once, whatever the program does with it.

    A batch normalisation reads a statistic of its channel (mean and variance of the batch).
    In training it is the statistic of what runs through; [freeze] writes down the statistics of
    one run, as recalibration does, and the frozen network normalises by these.             *)
From Coq Require Import Arith List Lia Bool Setoid Morphisms.
Require Import Network.
Import ListNotations.

Section Programs.
  Variable F : features.

  (** What a batch normalisation computes of a channel (from a whole batch), as a feature map. *)
  Variable stat : F -> F.

  (** The entries of every named layer: of mixing layers, of maps of one channel, of maps of two,
      and of batch normalisations (channel, statistic, value). *)
  Record store := {
    mixes : nat -> channel -> channel -> F -> F;
    maps : nat -> channel -> F -> F;
    zips : nat -> channel -> F -> F -> F;
    norms : nat -> channel -> F -> F -> F
  }.

  Inductive program :=
  | PId
  | PMix (h : axis) (n : nat)
  | PMap (n : nat)
  | PNorm (n : nat)
  | PSeq (a b : program)
  | PZip (n : nat) (a b : program)
  | PCat (a b : program)
  | PPick (p : list nat).

  (** The network in training mode: a batch normalisation is a map of one channel. *)
  Fixpoint build (t : store) (P : program) : net F :=
    match P with
    | PId => Id
    | PMix h n => Mix h (mixes t n)
    | PMap n => Each (maps t n)
    | PNorm n => Each (fun c x => norms t n c (stat x) x)
    | PSeq a b => Seq (build t a) (build t b)
    | PZip n a b => Zip (zips t n) (build t a) (build t b)
    | PCat a b => Cat (build t a) (build t b)
    | PPick p => Pick p
    end.

  Fixpoint pout (g : axis) (P : program) : axis :=
    match P with
    | PMix h _ => h
    | PSeq a b => pout (pout g a) b
    | PZip _ a _ => pout g a
    | PCat a b => pout g a ++ pout g b
    | PPick p => picked p g
    | _ => g
    end.
  Lemma out_build t P : forall g, out g (build t P) = pout g P.
  Proof. induction P; intros g; simpl; auto; rewrite ?IHP1, ?IHP2; auto. Qed.

  (** ** Layers used several times.

      [reads n] and [makes n] are the axes of layer [n].  A program is [placed] if it uses
      every layer at its own axes, everywhere: this is what ties the groups around the places
      of a shared layer. *)
  Section Shared.
    Variables reads makes : nat -> axis.

    Fixpoint placed (g : axis) (P : program) : Prop :=
      match P with
      | PMix h n => g = reads n /\ h = makes n
      | PMap n | PNorm n => g = makes n
      | PSeq a b => placed g a /\ placed (pout g a) b
      | PZip n a b => placed g a /\ placed g b /\ pout g a = makes n
      | PCat a b => placed g a /\ placed g b
      | PId | PPick _ => True
      end.

    Definition permute_store (s : nat -> nat -> nat) (t : store) : store := {|
      mixes n o i := mixes t n (move s (makes n) o) (move s (reads n) i);
      maps n c := maps t n (move s (makes n) c);
      zips n c := zips t n (move s (makes n) c);
      norms n c := norms t n (move s (makes n) c) |}.

    Definition slice_store (k : nat -> nat) (t : store) : store := {|
      mixes n o i x := if kept k (makes n) o && kept k (reads n) i then mixes t n o i x else zero;
      maps n c x := if kept k (makes n) c then maps t n c x else zero;
      zips n c x y := if kept k (makes n) c then zips t n c x y else zero;
      norms n c m x := if kept k (makes n) c then norms t n c m x else zero |}.

    (** Permuting the store once permutes every place that reads it ... *)
    Theorem shared_permute s t P : forall g, placed g P ->
      permute s g (build t P) = build (permute_store s t) P.
    Proof.
      induction P; intros g H; simpl in *; try reflexivity.
      - destruct H as [-> ->]. reflexivity.
      - rewrite H. reflexivity.
      - rewrite H. reflexivity.
      - destruct H. rewrite out_build, IHP1, IHP2 by assumption. reflexivity.
      - destruct H as (A & B & E). rewrite out_build, E, IHP1, IHP2 by assumption. reflexivity.
      - destruct H. rewrite IHP1, IHP2 by assumption. reflexivity.
    Qed.

    (** ... and so does cutting it. *)
    Theorem shared_slice k t P : forall g, placed g P ->
      slice k g (build t P) = build (slice_store k t) P.
    Proof.
      induction P; intros g H; simpl in *; try reflexivity.
      - destruct H as [-> ->]. reflexivity.
      - rewrite H. reflexivity.
      - rewrite H. reflexivity.
      - destruct H. rewrite out_build, IHP1, IHP2 by assumption. reflexivity.
      - destruct H as (A & B & E). rewrite out_build, E, IHP1, IHP2 by assumption. reflexivity.
      - destruct H. rewrite IHP1, IHP2 by assumption. reflexivity.
    Qed.

    (** P1 and P2 of a program over its store. *)
    Corollary program_permutation_invariant W s t P g x :
      placed g P -> (forall h, permutes (s h) (W h)) -> regular (build t P) -> tied g (build t P) ->
      (forall i, on W g i -> move s g i = i) ->
      (forall o, on W (pout g P) o -> move s (pout g P) o = o) ->
      forall o, on W (pout g P) o ->
        run W g (build (permute_store s t) P) x o == run W g (build t P) x o.
    Proof.
      intros Hp Hs HR HT Hi Ho o H. rewrite <- (shared_permute s t P g Hp).
      rewrite <- (out_build t P g) in *. apply network_permutation_invariant; auto.
    Qed.

    Corollary program_prefix_is_mask W k t P g x :
      placed g P -> (forall h, k h <= W h) -> (forall h, In h g -> k h = W h) ->
      regular (build t P) -> mixes_zero (build t P) -> tied g (build t P) ->
      forall o, on k (pout g P) o ->
        run k g (build (slice_store k t) P) x o == run W g (masked k g (build t P)) x o.
    Proof.
      intros Hp Hk Hg HR HZ HT o Ho. rewrite <- (out_build t P g) in Ho.
      rewrite <- (network_prefix_is_mask F W k (build t P) g x); auto.
      rewrite <- (shared_slice k t P g Hp). apply network_slice; auto. reflexivity.
    Qed.
  End Shared.

  (** ** Recalibration: the network with the statistics of one run written down.

      [ev] runs a part of the network, in training mode.  Every batch normalisation gets the statistics
      of what comes in at its place, and is a map with stored numbers from then on.  [pool] computes
      them: [stat] of one batch, or where a channel carries several batches and [stat] is that of each of
      them, the pooled statistics of all.  Where a program uses one normalisation in several places,
      each place has statistics of its own here. *)
  Fixpoint freeze (pool : F -> F) (ev : axis -> net F -> (channel -> F) -> channel -> F)
      (t : store) (g : axis) (P : program) (x : channel -> F) : net F :=
    match P with
    | PNorm n => Each (fun c => norms t n c (pool (x c)))
    | PSeq a b => Seq (freeze pool ev t g a x) (freeze pool ev t (pout g a) b (ev g (build t a) x))
    | PZip n a b => Zip (zips t n) (freeze pool ev t g a x) (freeze pool ev t g b x)
    | PCat a b => Cat (freeze pool ev t g a x) (freeze pool ev t g b x)
    | _ => build t P
    end.

  (** The statistics of the full network, of the cut network, and of the masked network. *)
  Definition recalibrated pool (W : nat -> nat) := freeze pool (run W).
  Definition recalibrated_masked pool (W k : nat -> nat) := freeze pool (fun g N => run W g (masked k g N)).

  Lemma out_freeze pool ev t P : forall g x, out g (freeze pool ev t g P x) = pout g P.
  Proof. induction P; intros g x; simpl; auto; rewrite ?IHP1, ?IHP2; auto. Qed.

  (** Equal channels have equal statistics, and equal statistics do the same. *)
  Definition regular_norms (t : store) : Prop :=
    Proper (eqv ==> eqv) stat /\ forall n c, Proper (eqv ==> eqv ==> eqv) (norms t n c).

  Lemma regular_freeze pool ev t P : forall g x,
    regular_norms t -> regular (build t P) -> regular (freeze pool ev t g P x).
  Proof.
    induction P; intros g x Hn H; simpl in *; intuition auto.
    apply (proj2 Hn). reflexivity.
  Qed.
  Lemma mixes_zero_freeze pool ev t P : forall g x,
    mixes_zero (build t P) -> mixes_zero (freeze pool ev t g P x).
  Proof. induction P; intros g x H; simpl in *; intuition auto. Qed.
  Lemma tied_freeze pool ev t P : forall g x, tied g (build t P) -> tied g (freeze pool ev t g P x).
  Proof.
    induction P; intros g x H; simpl in *; rewrite ?out_build, ?out_freeze in *; intuition auto.
  Qed.

  (** With the statistics of a batch stored, this batch is treated as in training. *)
  Theorem recalibrated_is_trained W t P : forall g x,
    regular_norms t -> regular (build t P) -> tied g (build t P) ->
    forall o, on W (pout g P) o -> run W g (recalibrated stat W t g P x) x o == run W g (build t P) x o.
  Proof.
    unfold recalibrated. induction P; intros g x Hn HR HT o Ho; simpl in *; try reflexivity.
    - rewrite out_freeze, out_build in *. destruct HR as [Ra Rb]. destruct HT as [Ta Tb].
      rewrite <- (IHP2 (pout g P1) _ Hn Rb Tb o Ho).
      apply run_ext; auto using regular_freeze, tied_freeze. rewrite out_freeze. exact Ho.
    - destruct HR as (Hz & Ra & Rb). destruct HT as (Ta & Tb & E). rewrite !out_build in E.
      apply Hz; [apply IHP1; auto|]. apply IHP2; auto. rewrite <- E. exact Ho.
    - rewrite out_freeze, out_build. destruct HR as [Ra Rb]. destruct HT as [Ta Tb].
      destruct (Nat.ltb_spec (fst o) (length (pout g P1))) as [L|L].
      + apply IHP1; auto. exact (on_before _ _ _ _ Ho L).
      + apply IHP2; auto. exact (on_behind _ _ _ _ Ho L).
  Qed.

  (** The statistics of the masked run are those of the cut run, channel by channel that is kept:
      [x] is the batch of the cut network, [y] the same batch as the masked network sees it. *)
  Lemma statistics_agree pool W k t P : forall g x y,
    (forall h, k h <= W h) -> Proper (eqv ==> eqv) pool ->
    regular_norms t -> regular (build t P) -> mixes_zero (build t P) -> tied g (build t P) ->
    (forall i, on k g i -> y i == x i) ->
    (forall i, on W g i -> kept k g i = false -> y i == zero) ->
    related eqv k g (recalibrated pool k t g P x) (recalibrated_masked pool W k t g P y).
  Proof.
    unfold recalibrated, recalibrated_masked.
    induction P; intros g x y Hk Hp Hn HR HZ HT Hx Hy; simpl in *; auto.
    - split; [reflexivity|]. intros o i a b _ _ E. apply HR. exact E.
    - intros c a b _ E. apply HR. exact E.
    - intros c a b Hc E. apply (proj2 Hn); [|exact E]. apply Hp. symmetry. auto.
    - rewrite out_build in HT. destruct HR as [Ra Rb]. destruct HZ as [Za Zb]. destruct HT as [Ta Tb].
      destruct (network_prefix_mask_both F W k (build t P1) g x y) as [A B]; auto.
      rewrite out_build in A, B. rewrite out_freeze. split; auto.
    - destruct HR as (Hz & Ra & Rb). destruct HZ as [Za Zb]. destruct HT as (Ta & Tb & E).
      rewrite !out_build in E. rewrite !out_freeze. repeat split; auto.
      intros c a b a' b' _ E1 E2. apply Hz; assumption.
    - destruct HR as [Ra Rb]. destruct HZ as [Za Zb]. destruct HT as [Ta Tb]. split; auto.
  Qed.

  (** ** Recalibrate and cut = mask and recalibrate.

      The statistics are those of the batch (or batches) [x]; [z] is any later input.  The cut network with
      the statistics of its own run computes what the masked full network computes with the
      statistics of the masked run. *)
  Theorem recalibrate_cut_is_mask_recalibrate pool W k t P g x z :
    (forall h, k h <= W h) -> (forall h, In h g -> k h = W h) -> Proper (eqv ==> eqv) pool ->
    regular_norms t -> regular (build t P) -> mixes_zero (build t P) -> tied g (build t P) ->
    forall o, on k (pout g P) o ->
      run k g (recalibrated pool k t g P x) z o ==
      run W g (masked k g (recalibrated_masked pool W k t g P x)) z o.
  Proof.
    intros Hk Hg Hp Hn HR HZ HT o Ho.
    assert (N : forall i, on W g i -> kept k g i = false -> x i == zero).
    { intros i [A B] K. exfalso. unfold kept in K.
      rewrite Hg in K by (apply nth_In; exact A). apply Nat.ltb_ge in K. lia. }
    unfold recalibrated, recalibrated_masked.
    rewrite <- (network_prefix_is_mask F W k) by
      (auto; unfold recalibrated_masked; rewrite ?out_freeze;
       auto using regular_freeze, mixes_zero_freeze, tied_freeze).
    apply network_agree; [|reflexivity|rewrite out_freeze; exact Ho].
    apply statistics_agree; auto. reflexivity.
  Qed.
End Programs.

Arguments mixes {F}. Arguments maps {F}. Arguments zips {F}. Arguments norms {F}.
Arguments build {F}. Arguments permute_store {F}.
Arguments slice_store {F}. Arguments freeze {F}. Arguments recalibrated {F}.
Arguments recalibrated_masked {F}. Arguments regular_norms {F}.
