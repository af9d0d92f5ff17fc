(** * Hardness.v -- what has no fast exact rule: concatenations, and two resources

    Widths are 1 or 2 everywhere and every unit has the score 1, so a network is worth
    the number of its units.  Then a network of fully connected layers that read
    concatenations holds the independent sets of any graph, and two resources hold any
    choice of so many numbers with such a sum.  (One resource on a chain: Chain.v.)   *)
From Coq Require Import Arith ZArith Lia.
Require Import Chain.
Open Scope Z_scope.

Definition bits (n : nat) (x : nat -> Z) := forall v, (v < n)%nat -> x v = 0 \/ x v = 1.
Definition widths (n : nat) (w : nat -> Z) := forall v, (v < n)%nat -> w v = 1 \/ w v = 2.

Lemma sum_ext f g m : (forall i, (i < m)%nat -> f i = g i) -> sum f m = sum g m.
Proof.
  induction m as [|m IH]; intros H; simpl; auto. rewrite (H m) by lia.
  rewrite IH by (intros; apply H; lia). reflexivity.
Qed.
Lemma sum_add f g m : sum (fun i => f i + g i) m = sum f m + sum g m.
Proof. induction m as [|m IH]; simpl; lia. Qed.
Lemma sum_scale k f m : sum (fun i => k * f i) m = k * sum f m.
Proof. induction m as [|m IH]; simpl; lia. Qed.
Lemma sum_const k m : sum (fun _ => k) m = Z.of_nat m * k.
Proof. induction m as [|m IH]; cbn [sum]; lia. Qed.
Lemma sum_pos f m : (forall i, (i < m)%nat -> 0 <= f i) -> 0 <= sum f m.
Proof.
  intros H. pose proof (sum_le (fun _ => 0) f m H) as G. rewrite sum_const in G. lia.
Qed.
(** A sum of numbers that are not negative is 0 only if all of them are. *)
Lemma sum_zero f m : (forall i, (i < m)%nat -> 0 <= f i) -> sum f m = 0 ->
  forall i, (i < m)%nat -> f i = 0.
Proof.
  induction m as [|m IH]; intros H E i Hi; [lia|]. simpl in E.
  pose proof (sum_pos f m ltac:(intros; apply H; lia)). pose proof (H m ltac:(lia)).
  destruct (Nat.eq_dec i m) as [->|]; [lia|]. apply IH; try lia. intros; apply H; lia.
Qed.

Section Concatenations.
  Variable n : nat.                               (* vertices *)
  Variable A : nat -> nat -> Z.                   (* 1 where there is an edge, else 0 *)
  Hypothesis A_bit : forall u v, A u v = 0 \/ A u v = 1.
  Hypothesis A_sym : forall u v, A u v = A v u.
  Hypothesis A_loop : forall v, A v v = 0.
  Variable R : Z.
  Hypothesis R_pos : 0 <= R.

  Definition degree (v : nat) : Z := sum (A v) n.
  (** The sum of [g v u] over the edges, u < v. *)
  Definition over_edges (g : nat -> nat -> Z) : Z := sum (fun v => sum (fun u => A v u * g v u) v) n.
  Definition edges : Z := over_edges (fun _ _ => 1).

  (** Layer v reads R - degree v inputs and the layers of its neighbours before it; an
      output of one unit reads all layers. *)
  Definition net_cost (w : nat -> Z) : Z :=
    sum (fun v => w v * (R - degree v + sum (fun u => A v u * w u) v)) n + sum w n.
  Definition independent (x : nat -> Z) : Prop :=
    forall u v, (u < n)%nat -> (v < n)%nat -> A u v = 1 -> x u = 1 -> x v = 1 -> False.

  (** Every edge is counted at both of its ends. *)
  Lemma handshake f m :
    sum (fun v => f v * sum (A v) m) m = sum (fun v => sum (fun u => A v u * (f u + f v)) v) m.
  Proof.
    induction m as [|m IH]; simpl; auto. rewrite A_loop.
    rewrite (sum_ext _ (fun v => f v * sum (A v) m + A m v * f v)) by
      (intros; rewrite (A_sym m i); lia).
    rewrite sum_add, IH.
    rewrite (sum_ext (fun u => A m u * (f u + f m)) (fun u => A m u * f u + f m * A m u)) by (intros; lia).
    rewrite sum_add, sum_scale. lia.
  Qed.

  Lemma net_cost_is w x : (forall v, (v < n)%nat -> w v = 1 + x v) ->
    net_cost w = Z.of_nat n * (R + 1) - edges + (R + 1) * sum x n + over_edges (fun v u => x v * x u).
  Proof.
    intros W. unfold net_cost, edges, over_edges.
    rewrite (sum_ext w (fun v => 1 + x v) n W), sum_add, sum_const.
    rewrite (sum_ext _ (fun v => (R + R * x v) + ((-1) * (1 * sum (A v) n) + ((-1) * (x v * sum (A v) n) +
      (sum (fun u => A v u * 1) v + (sum (fun u => A v u * (x u + x v)) v + sum (fun u => A v u * (x v * x u)) v)))))).
    2:{ intros v Hv. rewrite (W v Hv). unfold degree.
        rewrite (sum_ext (fun u => A v u * w u) (fun u => A v u * 1 + A v u * x u)) by
          (intros u Hu; rewrite (W u ltac:(lia)); lia).
        rewrite sum_add.
        rewrite (sum_ext (fun u => A v u * (x u + x v)) (fun u => A v u * x u + x v * (A v u * 1))) by (intros; lia).
        rewrite (sum_ext (fun u => A v u * (x v * x u)) (fun u => x v * (A v u * x u))) by (intros; lia).
        rewrite sum_add, !sum_scale. ring. }
    rewrite !sum_add, !sum_scale, sum_const.
    pose proof (handshake (fun _ => 1) n) as H1. cbv beta in H1. rewrite sum_scale in H1.
    rewrite (handshake x n).
    rewrite (sum_ext (fun v => sum (fun u => A v u * (1 + 1)) v) (fun v => 2 * sum (fun u => A v u * 1) v)) in H1 by
      (intros; rewrite <- sum_scale; apply sum_ext; intros; lia).
    rewrite sum_scale in H1. lia.
  Qed.

  Lemma product_pos x v u : bits n x -> (v < n)%nat -> (u < v)%nat -> 0 <= A v u * (x v * x u).
  Proof.
    intros B Hv Hu. destruct (A_bit v u) as [->| ->], (B v Hv) as [->| ->], (B u ltac:(lia)) as [->| ->]; lia.
  Qed.

  (** k vertices without an edge between them exist exactly if some widths have k units
      more than the least, at the cost that k such vertices have. *)
  Theorem independent_set_concatenations k :
    (exists x, bits n x /\ sum x n = k /\ independent x) <->
    exists w, widths n w /\ net_cost w <= Z.of_nat n * (R + 1) - edges + (R + 1) * k /\
      Z.of_nat n + k <= sum w n.
  Proof.
    split.
    - intros (x & B & S & I). exists (fun v => 1 + x v).
      split; [intros v Hv; destruct (B v Hv); lia|]. rewrite sum_add, sum_const, S.
      split; [|lia]. rewrite (net_cost_is _ x) by reflexivity. rewrite S.
      enough (E : over_edges (fun v u => x v * x u) = 0) by lia. unfold over_edges.
      rewrite (sum_ext _ (fun _ => 0)); [rewrite sum_const; lia|]. intros v Hv.
      rewrite (sum_ext _ (fun _ => 0)); [rewrite sum_const; lia|]. intros u Hu.
      destruct (A_bit v u) as [E|E]; [rewrite E; lia|].
      destruct (B v Hv) as [Ev|Ev]; [rewrite Ev; lia|].
      destruct (B u ltac:(lia)) as [Eu|Eu]; [rewrite Eu; lia|].
      exfalso. apply (I v u); auto; lia.
    - intros (w & Ww & C & V). set (x := fun v => w v - 1).
      assert (B : bits n x) by (intros v Hv; unfold x; destruct (Ww v Hv); lia).
      assert (W : forall v, (v < n)%nat -> w v = 1 + x v) by (intros; unfold x; lia).
      rewrite (net_cost_is w x W) in C. rewrite (sum_ext w _ n W), sum_add, sum_const in V.
      assert (P : forall v, (v < n)%nat -> 0 <= sum (fun u => A v u * (x v * x u)) v)
        by (intros v Hv; apply sum_pos; intros u Hu; apply product_pos; auto).
      pose proof (sum_pos _ n P) as E0. unfold over_edges in C.
      assert (S : sum x n = k) by nia.
      assert (Z : sum (fun v => sum (fun u => A v u * (x v * x u)) v) n = 0) by (rewrite S in C; lia).
      assert (One : forall u v, (v < n)%nat -> (u < v)%nat -> A v u = 1 -> x u = 1 -> x v = 1 -> False).
      { intros u v Hv Hu Ea Eu Ev. pose proof (sum_zero _ n P Z v Hv) as Zv. cbv beta in Zv.
        pose proof (sum_zero _ v (fun i Hi => product_pos x v i B Hv Hi) Zv u Hu) as Zu.
        cbv beta in Zu. rewrite Ea, Eu, Ev in Zu. lia. }
      exists x. split; [exact B|]. split; [exact S|]. intros u v Hu Hv Ea Eu Ev.
      destruct (lt_eq_lt_dec u v) as [[L|E]|L].
      + apply (One u v); auto. rewrite <- A_sym. exact Ea.
      + subst. rewrite A_loop in Ea. lia.
      + apply (One v u); auto.
  Qed.
End Concatenations.

(** ** Two resources

    Group i costs a i per unit of the first resource and M - a i of the second.  Some h
    numbers with sum H exist exactly if some widths within both capacities have h units
    more than the least.                                                          *)
Section Two_resources.
  Variable n : nat.
  Variable a : nat -> Z.
  Variable M : Z.
  Hypothesis M_pos : 0 < M.

  Theorem two_resources h H :
    (exists x, bits n x /\ sum x n = h /\ sum (fun i => a i * x i) n = H) <->
    exists w, widths n w /\ sum (fun i => a i * w i) n <= sum a n + H /\
      sum (fun i => (M - a i) * w i) n <= sum (fun i => M - a i) n + h * M - H /\
      Z.of_nat n + h <= sum w n.
  Proof.
    assert (G : forall w x, (forall i, (i < n)%nat -> w i = 1 + x i) ->
      sum w n = Z.of_nat n + sum x n /\
      sum (fun i => a i * w i) n = sum a n + sum (fun i => a i * x i) n /\
      sum (fun i => (M - a i) * w i) n = sum (fun i => M - a i) n + M * sum x n - sum (fun i => a i * x i) n).
    { intros w x W. split; [|split].
      - rewrite (sum_ext w _ n W), sum_add, sum_const. lia.
      - rewrite (sum_ext _ (fun i => a i + a i * x i)), sum_add; [lia|].
        intros i Hi. rewrite (W i Hi). lia.
      - rewrite (sum_ext _ (fun i => (M - a i) + (M * x i + (-1) * (a i * x i)))).
        + rewrite !sum_add, !sum_scale. lia.
        + intros i Hi. rewrite (W i Hi). lia. }
    split.
    - intros (x & B & S & E). exists (fun i => 1 + x i).
      destruct (G (fun i => 1 + x i) x) as (G1 & G2 & G3); [auto|]. rewrite G1, G2, G3, S, E.
      split; [intros i Hi; destruct (B i Hi); lia|]. lia.
    - intros (w & Ww & C1 & C2 & V).
      destruct (G w (fun i => w i - 1)) as (G1 & G2 & G3); [intros; lia|].
      exists (fun i => w i - 1). split; [intros i Hi; destruct (Ww i Hi); lia|]. nia.
  Qed.
End Two_resources.
