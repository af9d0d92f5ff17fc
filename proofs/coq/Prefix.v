(** * Prefix.v -- additive costs: taking prefixes costs nothing

    The units of a network are the items; [lay i] is the layer of unit [i].  If the
    units of a layer all cost the same and are numbered by decreasing profit, then
    every selection can be exchanged for one that takes a prefix of every layer,
    at the same cost and with at least the same profit.  So the best prefixes are
    optimal selections in the sense of Knapsack.v, and all guarantees hold for
    them.                                                                      *)
From Coq Require Import Arith Lia Bool.
Require Import Knapsack.

Section Prefix.
  Variable n : nat.
  Variables w p lay : nat -> nat.
  Hypothesis same_cost : forall i j, lay i = lay j -> w i = w j.
  Hypothesis sorted : forall i j, i < j -> j < n -> lay i = lay j -> p j <= p i.

  (** [X] takes a prefix of every layer. *)
  Definition prefix (X : sel) :=
    forall i j, i < j -> j < n -> lay i = lay j -> X j = true -> X i = true.

  (** Take unit i instead of unit j. *)
  Definition exchange (i j : nat) (X : sel) : sel := cup (minus X (single j)) (single i).

  Lemma tot_exchange f i j X : i < j -> j < n -> X j = true -> X i = false ->
    tot f (exchange i j X) n + f j = tot f X n + f i.
  Proof.
    intros H1 H2 Ej Ei. unfold exchange. rewrite cup_disj, tot_single_in by
      (lia || (intros x _ E; unfold minus, single in *;
               destruct (Nat.eqb_spec x i) as [->|]; [rewrite Ei in E; discriminate|reflexivity])).
    rewrite (tot_remove f X j n H2 Ej). lia.
  Qed.

  (** Either [X] takes prefixes, or some pair stands the wrong way round. *)
  Lemma inversion X : prefix X \/
    exists i j, i < j /\ j < n /\ lay i = lay j /\ X j = true /\ X i = false.
  Proof.
    assert (G : forall m, m <= n ->
      (forall i j, i < j -> j < m -> lay i = lay j -> X j = true -> X i = true) \/
      exists i j, i < j /\ j < n /\ lay i = lay j /\ X j = true /\ X i = false).
    { induction m as [|m IH]; intros Hm; [left; intros; lia|].
      destruct IH as [IH|IH]; [lia| |right; exact IH].
      destruct (X m) eqn:Em.
      - assert (K : forall r, r <= m ->
          (forall i, i < r -> lay i = lay m -> X i = true) \/
          exists i, i < r /\ lay i = lay m /\ X i = false).
        { induction r as [|r IHr]; intros Hr; [left; intros; lia|].
          destruct IHr as [K|[i [K1 K2]]]; [lia| |right; exists i; split; [lia|exact K2]].
          destruct (Nat.eq_dec (lay r) (lay m)) as [E|E], (X r) eqn:Er;
            try (right; exists r; split; [lia|split; assumption]);
            left; intros i Hi Ei; destruct (Nat.eq_dec i r) as [->|]; auto;
            try (apply K; [lia|exact Ei]); contradiction. }
        destruct (K m (le_n m)) as [K1|[i [K1 [K2 K3]]]].
        + left. intros i j Hij Hj Hl Ej. destruct (Nat.eq_dec j m) as [->|].
          * apply K1; auto.
          * apply (IH i j); auto; lia.
        + right. exists i, m. repeat split; auto; lia.
      - left. intros i j Hij Hj Hl Ej. destruct (Nat.eq_dec j m) as [->|]; [congruence|].
        apply (IH i j); auto; lia. }
    destruct (G n (le_n n)) as [H|H]; [left|right; exact H].
    intros i j H1 H2. apply H; auto.
  Qed.

  (** ** Every selection has a prefix selection of the same cost, worth no less; it
      keeps what prefixes the selection contained, and stays inside what prefixes
      contained the selection. *)
  Theorem prefix_exchange X :
    exists Y, prefix Y /\ W n w Y = W n w X /\ P n p X <= P n p Y /\
      (forall Z, prefix Z -> sub n Z X -> sub n Z Y) /\
      (forall Z, prefix Z -> sub n X Z -> sub n Y Z).
  Proof.
    assert (G : forall m X, tot (fun i => i) X n <= m ->
      exists Y, prefix Y /\ W n w Y = W n w X /\ P n p X <= P n p Y /\
        (forall Z, prefix Z -> sub n Z X -> sub n Z Y) /\
        (forall Z, prefix Z -> sub n X Z -> sub n Y Z)); [|eapply G; apply le_n].
    clear X. induction m as [|m IH]; intros X Hm;
      (destruct (inversion X) as [HP|(i & j & H1 & H2 & H3 & H4 & H5)];
       [exists X; repeat split; auto|]);
      pose proof (tot_exchange (fun i => i) i j X H1 H2 H4 H5) as E; cbv beta in E; [lia|].
    destruct (IH (exchange i j X)) as (Y & k1 & k2 & k3 & k4 & k5); [lia|].
    pose proof (tot_exchange w i j X H1 H2 H4 H5) as Ew.
    pose proof (tot_exchange p i j X H1 H2 H4 H5) as Ep.
    pose proof (same_cost i j H3) as Q. pose proof (sorted i j H1 H2 H3) as R.
    exists Y. split; [auto|]. split; [unfold W in *; lia|]. split; [unfold P in *; lia|]. split.
    - intros Z HZ HS. apply k4; auto. intros x Hx Ex. unfold exchange, cup, minus, single.
      rewrite (HS x Hx Ex). simpl. destruct (Nat.eqb_spec x j) as [->|]; [|reflexivity].
      pose proof (HS i ltac:(lia) (HZ i j H1 H2 H3 Ex)). congruence.
    - intros Z HZ HS. apply k5; auto. intros x Hx Ex. unfold exchange, cup, minus, single in Ex.
      apply orb_prop in Ex as [Ex|Ex].
      + apply andb_prop in Ex as [Ex _]. apply HS; auto.
      + apply Nat.eqb_eq in Ex. subst x. apply (HZ i j); auto.
  Qed.

  (** ** The best among the prefixes is the best of all: at one capacity, ... *)
  Theorem prefix_optimal c A :
    feasible n w c A -> (forall T, prefix T -> feasible n w c T -> P n p T <= P n p A) ->
    optimal n w p c A.
  Proof.
    intros HA best. split; auto. intros T HT.
    destruct (prefix_exchange T) as (Y & k1 & k2 & k3 & _).
    specialize (best Y k1). unfold feasible in *. lia.
  Qed.

  (** ... as a superset of a prefix, ... *)
  Theorem prefix_extends c A1 A2 :
    prefix A1 -> sub n A1 A2 -> feasible n w c A2 ->
    (forall T, prefix T -> sub n A1 T -> feasible n w c T -> P n p T <= P n p A2) ->
    extends n w p c A1 A2.
  Proof.
    intros HP HS HA best. split; [auto|split; [auto|]]. intros T T1 T2.
    destruct (prefix_exchange T) as (Y & k1 & k2 & k3 & k4 & _).
    specialize (best Y k1 (k4 A1 HP T1)). unfold feasible in *. lia.
  Qed.

  (** ... and as a subset of a prefix. *)
  Theorem prefix_restricts c D2 D1 :
    prefix D2 -> sub n D1 D2 -> feasible n w c D1 ->
    (forall T, prefix T -> sub n T D2 -> feasible n w c T -> P n p T <= P n p D1) ->
    restricts n w p c D2 D1.
  Proof.
    intros HP HS HA best. split; [auto|split; [auto|]]. intros T T1 T2.
    destruct (prefix_exchange T) as (Y & k1 & k2 & k3 & _ & k5).
    specialize (best Y k1 (k5 D2 HP T1)). unfold feasible in *. lia.
  Qed.
End Prefix.
