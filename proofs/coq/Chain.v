(** * Chain.v -- choosing widths exactly: dynamic programming, label setting, scaling

    The widths are chosen layer by layer.  A STATE is what the later layers need to
    know of the earlier choices: on a chain the width of the layer before, on other
    layered graphs the widths of a few groups.  A PATH is the list of the choices made
    so far, the last one first.  Values and costs are integers, added up along a path;
    there may be several resources.  Nothing is assumed of the values, so they may be
    sums, rounded logarithms, or negative.

    Proved here: the dynamic program over (layer, state, cost) has the optimum; label
    setting has it too, whatever labels it drops, as long as each of them is dominated
    or hopeless; the tests that the solver uses do show that a label is hopeless; an
    optimum of rounded values is nearly one of the values; and chains can hold a
    subset-sum problem.                                                         *)
From Coq Require Import Arith ZArith Lia List Bool.
Import ListNotations.
Open Scope Z_scope.

(** [sum g m] is g 0 + ... + g (m-1). *)
Fixpoint sum (g : nat -> Z) (m : nat) : Z :=
  match m with O => 0 | S k => sum g k + g k end.

Lemma sum_le g h m : (forall r, (r < m)%nat -> g r <= h r) -> sum g m <= sum h m.
Proof.
  induction m as [|m IH]; intros H; simpl; [lia|].
  pose proof (H m ltac:(lia)). pose proof (IH ltac:(intros; apply H; lia)). lia.
Qed.

(** The best of some numbers, each of which may be missing. *)
Definition better (x y : option Z) : option Z :=
  match x, y with
  | None, _ => y
  | _, None => x
  | Some a, Some b => Some (Z.max a b)
  end.
Definition best_of {A} (f : A -> option Z) (l : list A) : option Z :=
  fold_right (fun x m => better (f x) m) None l.

Lemma best_of_none {A} (f : A -> option Z) l :
  best_of f l = None -> forall x, In x l -> f x = None.
Proof.
  induction l as [|y l IH]; simpl; intros H x I; [contradiction|].
  destruct (f y) eqn:E, (best_of f l) eqn:E'; simpl in H; try discriminate.
  destruct I as [->|I]; auto.
Qed.

Lemma best_of_some {A} (f : A -> option Z) l m :
  best_of f l = Some m ->
  (exists x, In x l /\ f x = Some m) /\ forall x k, In x l -> f x = Some k -> k <= m.
Proof.
  revert m. induction l as [|y l IH]; simpl; intros m H; [discriminate|].
  destruct (f y) as [a|] eqn:E, (best_of f l) as [b|] eqn:E'; simpl in H; try discriminate.
  - destruct (IH b eq_refl) as [(x & I & F) G]. injection H as <-. split.
    + destruct (Z.max_spec a b) as [[_ ->]|[_ ->]]; [exists x|exists y]; auto.
    + intros z k [<-|I'] F'; [rewrite E in F'; injection F' as <-; lia|].
      pose proof (G z k I' F'). lia.
  - injection H as <-. split; [exists y; auto|]. intros z k [<-|I] F;
    [rewrite E in F; injection F as <-; lia|].
    rewrite (best_of_none f l E' z I) in F. discriminate.
  - destruct (IH b eq_refl) as [(x & I & F) G]. injection H as <-. split; [exists x; auto|].
    intros z k [<-|I'] F';
    [congruence|eauto].
Qed.

Section Graph.
  Variable source : nat.                          (* the state before the first layer *)
  Variable next : nat -> nat -> nat -> nat.       (* layer, state, choice: the state after *)
  Variable choices : nat -> nat -> list nat.      (* layer, state: what may be chosen *)
  Variable v : nat -> nat -> nat -> Z.            (* layer, state, choice: the value *)
  Variable c : nat -> nat -> nat -> nat -> Z.     (* resource, layer, state, choice: the cost *)
  Variable K L : nat.                             (* the numbers of resources and of layers *)
  Variable cap : nat -> Z.                        (* the capacity of each resource *)

  Fixpoint state (p : list nat) : nat :=
    match p with [] => source | b :: q => next (length q) (state q) b end.
  Fixpoint total (f : nat -> nat -> nat -> Z) (p : list nat) : Z :=
    match p with [] => 0 | b :: q => total f q + f (length q) (state q) b end.
  Fixpoint allowed (p : list nat) : Prop :=
    match p with [] => True | b :: q => allowed q /\ In b (choices (length q) (state q)) end.

  Definition worth (p : list nat) : Z := total v p.
  Definition spent (r : nat) (p : list nat) : Z := total (c r) p.
  Definition fits (p : list nat) : Prop := forall r, (r < K)%nat -> spent r p <= cap r.
  (** A complete choice within all capacities, ... *)
  Definition feasible (p : list nat) : Prop := allowed p /\ length p = L /\ fits p.
  (** ... and a best one. *)
  Definition optimal (p : list nat) : Prop :=
    feasible p /\ forall x, feasible x -> worth x <= worth p.

  Section Table.
  (** ** Dynamic programming over layer, state and cost *)

  (** [m] is the largest worth of the paths that meet [P]; None says that there is none. *)
  Definition is_best (P : list nat -> Prop) (m : option Z) : Prop :=
    match m with
    | None => forall p, ~ P p
    | Some k => (exists p, P p /\ worth p = k) /\ forall p, P p -> worth p <= k
    end.

  Variable nodes : nat -> list nat.               (* the states before each layer *)
  Definition arcs (t : nat) : list (nat * nat) :=
    flat_map (fun a => map (pair a) (choices t a)) (nodes t).

  (** [table t s r]: the best value of the first [t] choices that end in state [s] and
      cost at most [r] of the first resource. *)
  Fixpoint table (t s : nat) (r : Z) : option Z :=
    match t with
    | O => if (s =? source)%nat && (0 <=? r) then Some 0 else None
    | S u => best_of (fun ab =>
        if (next u (fst ab) (snd ab) =? s)%nat && (c 0%nat u (fst ab) (snd ab) <=? r)
        then option_map (Z.add (v u (fst ab) (snd ab))) (table u (fst ab) (r - c 0%nat u (fst ab) (snd ab)))
        else None) (arcs u)
    end.
  Definition dp : option Z := best_of (fun s => table L s (cap 0%nat)) (nodes L).

  Hypothesis source_node : In source (nodes 0).
  Hypothesis next_node : forall t a b, In a (nodes t) -> In b (choices t a) -> In (next t a b) (nodes (S t)).
  Hypothesis cost_pos : forall t a b, 0 <= c 0%nat t a b.

  Lemma spent_pos p : 0 <= spent 0%nat p.
  Proof.
    unfold spent. induction p as [|b p IH]; simpl; [lia|]. specialize (cost_pos (length p) (state p) b). lia.
  Qed.
  Lemma state_node p : allowed p -> In (state p) (nodes (length p)).
  Proof. induction p as [|b p IH]; simpl; auto. intros [A B]. auto. Qed.

  Theorem table_exact t s r :
    is_best (fun p => allowed p /\ length p = t /\ state p = s /\ spent 0%nat p <= r) (table t s r).
  Proof.
    revert s r. induction t as [|t IH]; intros s r.
    - simpl. destruct (Nat.eqb_spec s source) as [->|N], (Z.leb_spec 0 r); simpl.
      + split; [exists []; simpl; unfold spent; simpl; auto|].
        intros [|b p] (_ & E & _); [unfold worth; simpl; lia|discriminate].
      + intros [|b p] (_ & E & _ & C); [unfold spent in C; simpl in C; lia|discriminate].
      + intros [|b p] (_ & E & C & _); [simpl in C; congruence|discriminate].
      + intros [|b p] (_ & E & C & _); [simpl in C; congruence|discriminate].
    - cbn [table]. set (f := fun ab : nat * nat => _).
      assert (Up : forall b q, allowed (b :: q) -> length q = t -> state (b :: q) = s ->
        spent 0%nat (b :: q) <= r -> exists m, f (state q, b) = Some m /\ worth (b :: q) <= m).
      { intros b q [A B] E Es C. unfold spent in C. simpl in A, B, Es, C. rewrite E in Es, C.
        unfold f. cbn [fst snd]. rewrite Es, Nat.eqb_refl.
        pose proof (spent_pos q) as P. unfold spent in P.
        destruct (Z.leb_spec (c 0%nat t (state q) b) r); [|lia]. cbn [andb].
        specialize (IH (state q) (r - c 0%nat t (state q) b)).
        destruct (table t (state q) (r - c 0%nat t (state q) b)) as [m|]; simpl in IH.
        - exists (v t (state q) b + m). split; [reflexivity|].
          destruct IH as [_ IH]. specialize (IH q). unfold worth in *. simpl. rewrite E.
          pose proof (IH ltac:(repeat split; auto; unfold spent; lia)). lia.
        - exfalso. apply (IH q). repeat split; auto. unfold spent. lia. }
      assert (In_arcs : forall b q, allowed (b :: q) -> length q = t -> In (state q, b) (arcs t)).
      { intros b q [A B] E. pose proof (state_node q A) as N. rewrite E in *.
        apply in_flat_map. exists (state q). split; auto. apply in_map. exact B. }
      destruct (best_of f (arcs t)) as [m|] eqn:M; simpl.
      + destruct (best_of_some f _ m M) as [([a b] & I & F) G]. split.
        * unfold f in F. cbn [fst snd] in F.
          destruct (Nat.eqb_spec (next t a b) s) as [Es|]; [|discriminate].
          destruct (Z.leb_spec (c 0%nat t a b) r); [|discriminate]. cbn [andb] in F.
          specialize (IH a (r - c 0%nat t a b)).
          destruct (table t a (r - c 0%nat t a b)) as [k|]; simpl in F, IH; [|discriminate].
          injection F as <-. destruct IH as [(q & (A & E & Ea & C) & V) _].
          apply in_flat_map in I as (a' & Na & I). apply in_map_iff in I as (b' & J & Ib).
          injection J as -> ->.
          exists (b :: q). unfold spent, worth in *. simpl. rewrite E, Ea. repeat split; auto; lia.
        * intros [|b' q] (A & E & Es & C); [discriminate|]. simpl in E. injection E as E.
          destruct (Up b' q A E Es C) as (k & Fk & Wk).
          pose proof (G _ k (In_arcs b' q A E) Fk). lia.
      + intros [|b q] (A & E & Es & C); [discriminate|]. simpl in E. injection E as E.
        destruct (Up b q A E Es C) as (k & Fk & _).
        rewrite (best_of_none f _ M _ (In_arcs b q A E)) in Fk. discriminate.
  Qed.

  (** The best entry of the last layer is the optimum, with one resource. *)
  Theorem dp_exact : K = 1%nat -> is_best feasible dp.
  Proof.
    intros K1. unfold dp.
    assert (F : forall p, feasible p <-> allowed p /\ length p = L /\ spent 0%nat p <= cap 0%nat).
    { intros p. unfold feasible, fits. rewrite K1. split; intros (A & E & C); repeat split; auto.
      intros r Hr. replace r with 0%nat by lia. exact C. }
    set (f := fun s => table L s (cap 0%nat)).
    destruct (best_of f (nodes L)) as [m|] eqn:M; simpl.
    - destruct (best_of_some f _ m M) as [(s & I & Fs) G]. unfold f in Fs.
      pose proof (table_exact L s (cap 0%nat)) as T. rewrite Fs in T. destruct T as [(p & P & V) _].
      split; [exists p; split; [apply F; tauto|exact V]|].
      intros q Q. apply F in Q as (A & E & C).
      pose proof (table_exact L (state q) (cap 0%nat)) as T.
      pose proof (state_node q A) as N. rewrite E in N.
      destruct (table L (state q) (cap 0%nat)) as [k|] eqn:Tk; simpl in T; [|exfalso; apply (T q); auto].
      pose proof (G (state q) k N Tk). pose proof (proj2 T q ltac:(auto)). lia.
    - intros q Q. apply F in Q as (A & E & C).
      pose proof (table_exact L (state q) (cap 0%nat)) as T.
      pose proof (state_node q A) as N. rewrite E in N.
      change (table L (state q) (cap 0%nat)) with (f (state q)) in T.
      rewrite (best_of_none f _ M _ N) in T. apply (T q). auto.
  Qed.
  End Table.

  (** ** What follows depends on the state alone. *)
  Lemma state_app l p q : length p = length q -> state p = state q -> state (l ++ p) = state (l ++ q).
  Proof.
    intros E S. induction l as [|b l IH]; simpl; auto. rewrite !app_length, E, IH. reflexivity.
  Qed.
  Lemma total_app f l p q : length p = length q -> state p = state q ->
    total f (l ++ p) - total f p = total f (l ++ q) - total f q.
  Proof.
    intros E S. induction l as [|b l IH]; simpl; [lia|].
    rewrite (state_app l p q E S), !app_length, E. lia.
  Qed.
  Lemma allowed_app l p q : length p = length q -> state p = state q ->
    allowed (l ++ p) -> allowed q -> allowed (l ++ q).
  Proof.
    intros E S. induction l as [|b l IH]; simpl; auto. intros [A B] Q. split; auto.
    rewrite <- (state_app l p q E S), app_length, <- E, <- app_length. exact B.
  Qed.
  Lemma allowed_end l p : allowed (l ++ p) -> allowed p.
  Proof. induction l as [|b l IH]; simpl; auto. intros [A _]. auto. Qed.

  (** ** Label setting *)

  (** [p] is in the same state as [q], worth no less, and has spent no more. *)
  Definition dominates (p q : list nat) : Prop :=
    length p = length q /\ state p = state q /\ worth q <= worth p /\
    forall r, (r < K)%nat -> spent r p <= spent r q.
  (** No feasible choice that starts with [q] is worth [need]. *)
  Definition hopeless (need : Z) (q : list nat) : Prop :=
    forall l, feasible (l ++ q) -> worth (l ++ q) < need.

  (** One layer further: labels are prolonged by allowed choices only, and a label that
      is not kept is dominated by a kept one, or hopeless. *)
  Definition layer_pass (need : Z) (from to : list (list nat)) : Prop :=
    (forall p, In p to -> exists b q, p = b :: q /\ In q from /\
       In b (choices (length q) (state q))) /\
    forall q b, In q from -> In b (choices (length q) (state q)) ->
      In (b :: q) to \/ (exists p, In p to /\ dominates p (b :: q)) \/ hopeless need (b :: q).
  (** A pass over all layers; the labels at its end meet the capacities and the need. *)
  Definition label_pass (need : Z) (labels : nat -> list (list nat)) : Prop :=
    labels 0%nat = [[]] /\
    (forall t, (t < L)%nat -> layer_pass need (labels t) (labels (S t))) /\
    forall p, In p (labels L) -> fits p /\ need <= worth p.

  Lemma labels_allowed need labels t p : label_pass need labels -> (t <= L)%nat ->
    In p (labels t) -> allowed p /\ length p = t.
  Proof.
    intros (H0 & H1 & _). revert p. induction t as [|t IH]; intros p Ht I.
    - rewrite H0 in I. destruct I as [<-|[]]. simpl. auto.
    - destruct (H1 t Ht) as [A _]. destruct (A p I) as (b & q & -> & J & B).
      destruct (IH q ltac:(lia) J) as [Q E]. simpl. auto.
  Qed.

  Lemma labels_cover need labels x t : label_pass need labels -> (t <= L)%nat ->
    feasible x -> need <= worth x ->
    exists p l, In p (labels t) /\ feasible (l ++ p) /\ worth x <= worth (l ++ p).
  Proof.
    intros H Ht Fx Hx. induction t as [|t IH].
    - exists [], x. rewrite app_nil_r. split; [|split; [auto|lia]]. destruct H as [-> _]. simpl. auto.
    - destruct IH as (p & l & I & F & V); [lia|].
      destruct (labels_allowed need labels t p H ltac:(lia) I) as [A E].
      destruct (exists_last (l := l)) as (l' & b & El).
      { intros ->. destruct F as (_ & F & _). simpl in F. lia. }
      subst l. rewrite <- app_assoc in F, V. simpl in F, V.
      assert (B : allowed (b :: p)) by (destruct F as [F _]; exact (allowed_end l' _ F)).
      destruct H as (H0 & H1 & H2). destruct (H1 t ltac:(lia)) as [M N].
      destruct (N p b I (proj2 B)) as [N1|[(q & Q & D)|N1]].
      + exists (b :: p), l'. auto.
      + exists q, l'. split; [exact Q|].
        destruct D as (D1 & D2 & D3 & D4).
        destruct (labels_allowed need labels (S t) q (conj H0 (conj H1 H2)) ltac:(lia) Q) as [QA _].
        destruct F as (F1 & F2 & F3). split; [split; [|split]|].
        * apply (allowed_app l' (b :: p) q); auto.
        * rewrite app_length in *. lia.
        * intros r Hr. specialize (F3 r Hr). specialize (D4 r Hr). unfold spent in *.
          pose proof (total_app (c r) l' q (b :: p) D1 D2). lia.
        * unfold worth in *. pose proof (total_app v l' q (b :: p) D1 D2). lia.
      + specialize (N1 l' F). lia.
  Qed.

  (** The best label at the end of a pass is an optimal choice, ... *)
  Theorem best_label_optimal need labels y : label_pass need labels ->
    In y (labels L) -> (forall z, In z (labels L) -> worth z <= worth y) -> optimal y.
  Proof.
    intros H I B. destruct (labels_allowed need labels L y H (le_n _) I) as [A E].
    destruct (proj2 (proj2 H) y I) as [F N]. split; [split; auto|]. intros x Fx.
    destruct (Z_le_gt_dec need (worth x)) as [G|G]; [|lia].
    destruct (labels_cover need labels x L H (le_n _) Fx G) as (p & l & J & (_ & Fl & _) & V).
    destruct (labels_allowed need labels L p H (le_n _) J) as [_ El].
    rewrite app_length in Fl. destruct l as [|b l]; [|simpl in Fl; lia].
    simpl in V. specialize (B p J). lia.
  Qed.

  (** ... and a pass without one proves that nothing is worth the need. *)
  Theorem no_label_no_choice need labels : label_pass need labels ->
    labels L = [] -> forall x, feasible x -> worth x < need.
  Proof.
    intros H E x Fx. destruct (Z_le_gt_dec need (worth x)) as [G|G]; [|lia].
    destruct (labels_cover need labels x L H (le_n _) Fx G) as (p & l & J & _). rewrite E in J. contradiction.
  Qed.

  (** The last pass asks for one more than the incumbent [x] is worth: its best label is
      optimal, or, if there is none, the incumbent is. *)
  Theorem last_pass_optimal x labels : feasible x -> label_pass (worth x + 1) labels ->
    (labels L = [] -> optimal x) /\
    forall y, In y (labels L) -> (forall z, In z (labels L) -> worth z <= worth y) -> optimal y.
  Proof.
    intros Fx H. split; [|intros y; apply (best_label_optimal (worth x + 1)); auto].
    intros E. split; auto. intros z Fz. pose proof (no_label_no_choice _ _ H E z Fz). lia.
  Qed.

  Section Rounding.
  (** With one resource at most as many undominated labels stay at a state as there are
      values: this bounds the work where values are small integers, as after rounding. *)
  Theorem few_labels labels t s M : (K <= 1)%nat -> 0 <= M -> NoDup labels ->
    (forall p, In p labels -> length p = t /\ state p = s /\ 0 <= worth p <= M) ->
    (forall p q, In p labels -> In q labels -> dominates p q -> p = q) ->
    Z.of_nat (length labels) <= M + 1.
  Proof.
    intros K1 HM ND R U.
    assert (N : NoDup (map worth labels)).
    { assert (G : forall l, incl l labels -> NoDup l -> NoDup (map worth l)).
      { induction l as [|p l IH]; intros I NDl; simpl; constructor; inversion NDl; subst.
        - intros J. apply in_map_iff in J as (q & E & J).
          assert (Ip : In p labels) by (apply I; left; auto).
          assert (Iq : In q labels) by (apply I; right; auto).
          destruct (R p Ip) as (p1 & p2 & _), (R q Iq) as (q1 & q2 & _).
          assert (p = q); [|subst; contradiction].
          destruct (Z.le_ge_cases (spent 0%nat p) (spent 0%nat q)) as [H|H]; [|symmetry];
            apply U; auto; repeat split; try lia; try congruence;
            intros r Hr; replace r with 0%nat by lia; exact H.
        - apply IH; auto. intros x J. apply I. right. exact J. }
      apply G; auto. apply incl_refl. }
    pose proof (NoDup_incl_length N (l' := map Z.of_nat (seq 0 (Z.to_nat (M + 1))))) as C.
    rewrite !map_length, seq_length in C.
    assert (I : incl (map worth labels) (map Z.of_nat (seq 0 (Z.to_nat (M + 1))))); [|specialize (C I); lia].
    intros x J. apply in_map_iff in J as (p & <- & J). destruct (R p J) as (_ & _ & B).
    apply in_map_iff. exists (Z.to_nat (worth p)). split; [lia|]. apply in_seq. lia.
  Qed.

  (** ** Scaling: values counted in units, rounded down *)

  Variable unit : Z.
  Hypothesis unit_pos : 0 < unit.
  Definition rounded (t a b : nat) : Z := v t a b / unit.

  Lemma rounded_loses p :
    unit * total rounded p <= worth p <= unit * total rounded p + Z.of_nat (length p) * (unit - 1).
  Proof.
    unfold worth. induction p as [|b p IH]; [simpl; lia|].
    cbn [total length]. unfold rounded at 2 4.
    pose proof (Z.div_mod (v (length p) (state p) b) unit ltac:(lia)).
    pose proof (Z.mod_pos_bound (v (length p) (state p) b) unit unit_pos).
    rewrite Nat2Z.inj_succ. unfold rounded in IH |- *. nia.
  Qed.

  (** The best choice for the rounded values, and an upper bound on every choice. *)
  Definition best_rounded (y : list nat) : Prop :=
    feasible y /\ forall x, feasible x -> total rounded x <= total rounded y.
  Definition bound (y : list nat) : Z := unit * total rounded y + Z.of_nat L * (unit - 1).

  Theorem scaling y : best_rounded y ->
    bound y - Z.of_nat L * (unit - 1) <= worth y <= bound y /\ forall x, feasible x -> worth x <= bound y.
  Proof.
    intros [F B]. unfold bound. split.
    - pose proof (rounded_loses y) as R. destruct F as (_ & E & _). rewrite E in R. lia.
    - intros x Fx. pose proof (rounded_loses x) as R. pose proof (B x Fx). destruct Fx as (_ & E & _).
      rewrite E in R. nia.
  Qed.

  (** Any choice that is worth the bound but for the share [n/d] of it is as near to the
      optimum: (1 - n/d) of it if values are gains, (1 + n/d) if they are losses. *)
  Theorem share_of_gain n d B y : 0 <= n <= d -> 0 < d -> (forall x, feasible x -> worth x <= B) ->
    d * (B - worth y) <= n * B -> forall x, feasible x -> (d - n) * worth x <= d * worth y.
  Proof. intros Hn Hd HB H x Fx. pose proof (HB x Fx). nia. Qed.
  Theorem share_of_loss n d B y : 0 <= n -> 0 < d -> (forall x, feasible x -> worth x <= B) ->
    d * (B - worth y) <= n * - B -> forall x, feasible x -> (d + n) * worth x <= d * worth y.
  Proof. intros Hn Hd HB H x Fx. pose proof (HB x Fx). nia. Qed.

  (** A unit of n/(d L) of any gain that is reached is small enough. *)
  Theorem small_units_suffice n d x y : 0 <= n -> 0 < d -> best_rounded y -> feasible x ->
    d * (Z.of_nat L * (unit - 1)) <= n * worth x -> d * (bound y - worth y) <= n * bound y.
  Proof.
    intros Hn Hd Y Fx H. destruct (scaling y Y) as [S1 S2]. specialize (S2 x Fx). nia.
  Qed.
  End Rounding.

  (** ** The tests that show a label to be hopeless *)

  (** [h] bounds the sum of [f] over the rest of a path, from every state. *)
  Definition bounds_rest (f : nat -> nat -> nat -> Z) (h : nat -> nat -> Z) : Prop :=
    (forall a, 0 <= h L a) /\
    forall t a b, (t < L)%nat -> In b (choices t a) -> f t a b + h (S t) (next t a b) <= h t a.

  Lemma rest_bounded f h l q : bounds_rest f h -> allowed (l ++ q) -> length (l ++ q) = L ->
    total f (l ++ q) <= total f q + h (length q) (state q).
  Proof.
    intros [H0 H1] A E.
    assert (G : forall k, allowed (k ++ q) -> (length (k ++ q) <= L)%nat ->
      total f (k ++ q) + h (length (k ++ q)) (state (k ++ q)) <= total f q + h (length q) (state q)).
    { induction k as [|b k IH]; intros Ak Ek; [simpl; lia|]. simpl in Ak, Ek.
      destruct Ak as [Ak B]. pose proof (IH Ak ltac:(lia)) as D.
      pose proof (H1 (length (k ++ q)) (state (k ++ q)) b ltac:(lia) B) as D'.
      change (total f (k ++ q) + f (length (k ++ q)) (state (k ++ q)) b +
              h (S (length (k ++ q))) (next (length (k ++ q)) (state (k ++ q)) b)
              <= total f q + h (length q) (state q)). lia. }
    pose proof (G l A ltac:(lia)) as D. rewrite E in D. pose proof (H0 (state (l ++ q))). lia.
  Qed.

  (** Completion: even the cheapest rest leaves the capacity of some resource. *)
  Theorem completion_test need r m q : (r < K)%nat ->
    bounds_rest (fun t a b => - c r t a b) (fun t a => - m t a) ->
    cap r < spent r q + m (length q) (state q) -> hopeless need q.
  Proof.
    intros Hr B H l (A & E & F). exfalso. specialize (F r Hr).
    pose proof (rest_bounded _ _ l q B A E) as D. cbv beta in D.
    assert (N : forall p, total (fun t a b => - c r t a b) p = - spent r p).
    { induction p as [|b p IH]; simpl; [reflexivity|]. rewrite IH. unfold spent. simpl. lia. }
    rewrite !N in D. lia.
  Qed.

  (** Multipliers [lambda r / D] price the resources. *)
  Variable D : Z.
  Variable lambda : nat -> Z.
  Hypothesis D_pos : 0 < D.
  Hypothesis lambda_pos : forall r, 0 <= lambda r.

  Definition priced (t a b : nat) : Z := D * v t a b - sum (fun r => lambda r * c r t a b) K.
  Definition paid : Z := sum (fun r => lambda r * cap r) K.

  Lemma total_priced p : total priced p = D * worth p - sum (fun r => lambda r * spent r p) K.
  Proof.
    unfold worth, spent. induction p as [|b p IH].
    - simpl. assert (Z : forall m, sum (fun r => lambda r * 0) m = 0) by (induction m; simpl; lia).
      rewrite Z. lia.
    - simpl. rewrite IH. unfold priced.
      assert (Z : forall m, sum (fun r => lambda r * total (c r) p) m +
        sum (fun r => lambda r * c r (length p) (state p) b) m =
        sum (fun r => lambda r * (total (c r) p + c r (length p) (state p) b)) m)
        by (induction m; simpl; lia).
      rewrite <- Z. lia.
  Qed.
  Lemma feasible_paid p : feasible p -> D * worth p <= total priced p + paid.
  Proof.
    intros (_ & _ & F). rewrite total_priced. unfold paid.
    assert (G : sum (fun r => lambda r * spent r p) K <= sum (fun r => lambda r * cap r) K); [|lia].
    apply sum_le. intros r Hr. specialize (F r Hr). specialize (lambda_pos r). nia.
  Qed.

  (** Bound: value minus priced costs, the best rest at these prices, and what the
      capacities pay are together below the need. *)
  Theorem bound_test need ahead q : bounds_rest priced ahead ->
    total priced q + ahead (length q) (state q) + paid < D * need -> hopeless need q.
  Proof.
    intros B H l F. pose proof (feasible_paid _ F) as G. destruct F as (A & E & _).
    pose proof (rest_bounded _ _ l q B A E). nia.
  Qed.

  (** Arc fixing: [reach] bounds the beginning in the same way, so a choice can be shut
      out at a state for all labels at once. *)
  Theorem arc_fixing need reach ahead t a b :
    0 <= reach 0%nat source ->
    (forall s x y, (s < L)%nat -> In y (choices s x) -> reach s x + priced s x y <= reach (S s) (next s x y)) ->
    bounds_rest priced ahead ->
    (t < L)%nat -> In b (choices t a) ->
    reach t a + priced t a b + ahead (S t) (next t a b) + paid < D * need ->
    forall q, allowed q -> length q = t -> state q = a -> hopeless need (b :: q).
  Proof.
    intros R0 R B Ht Hb H q A E S.
    assert (G : forall p, allowed p -> (length p <= L)%nat -> total priced p <= reach (length p) (state p)).
    { induction p as [|y p IH]; intros Ap Lp; [simpl; lia|]. simpl in Ap, Lp. destruct Ap as [Ap Y].
      pose proof (R (length p) (state p) y ltac:(lia) Y). pose proof (IH Ap ltac:(lia)).
      change (total priced p + priced (length p) (state p) y <=
              reach (Datatypes.S (length p)) (next (length p) (state p) y)). lia. }
    pose proof (G q A ltac:(lia)) as G1. apply (bound_test need ahead); auto.
    simpl. rewrite E, S in *. lia.
  Qed.
End Graph.

(** ** Chains: the state is the width of the layer before *)
Section Chain.
  Variable source : nat.                          (* the width of the input *)
  Variable widths : nat -> list nat.              (* of each layer *)
  Variable v : nat -> nat -> nat -> Z.            (* layer, width before, width: the value *)
  Variable c : nat -> nat -> nat -> Z.            (* layer, width before, width: the cost *)

  Definition chain_next (t a b : nat) : nat := b.
  Definition chain_choices (t a : nat) : list nat := widths t.
  Definition chain_nodes (t : nat) : list nat := match t with O => [source] | S u => widths u end.
  Definition chain_feasible (L : nat) (C : Z) : list nat -> Prop :=
    feasible source chain_next chain_choices (fun _ => c) 1 L (fun _ => C).
  Definition chain_dp (L : nat) (C : Z) : option Z :=
    dp source chain_next chain_choices v (fun _ => c) L (fun _ => C) chain_nodes.

  Theorem chain_dp_exact L C : (forall t a b, 0 <= c t a b) ->
    is_best source chain_next v (chain_feasible L C) (chain_dp L C).
  Proof.
    intros H. apply dp_exact; auto; simpl; auto.
  Qed.
End Chain.

(** ** A subset-sum problem as a chain

    The numbers a 0, ..., a (m-1) become 2m layers with widths 1 and 2, no width being
    fixed.  Layers 2i and 2i+1 are convolutions on a map of a i positions: they cost
    a i times width before times width.  The units of layer 2i have the score a i, those
    of layer 2i+1 the score 0.                                                    *)
Section Subset_sum.
  Variable m : nat.
  Variable a : nat -> Z.
  Hypothesis a_pos : forall i, 0 <= a i.

  Definition ss_value (t x y : nat) : Z := if Nat.even t then a (Nat.div2 t) * Z.of_nat y else 0.
  Definition ss_cost (t x y : nat) : Z := a (Nat.div2 t) * Z.of_nat x * Z.of_nat y.
  Definition ss_widths (t : nat) : list nat := [1; 2]%nat.
  Definition part (X : nat -> bool) (k : nat) : Z := sum (fun i => if X i then a i else 0) k.

  Let nxt := chain_next.
  Let chs := chain_choices ss_widths.
  Let val := worth 1%nat nxt ss_value.
  Let cst := spent 1%nat nxt (fun _ => ss_cost) 0%nat.

  Lemma parity k : Nat.even (2 * k) = true /\ Nat.even (S (2 * k)) = false /\
    Nat.div2 (2 * k) = k /\ Nat.div2 (S (2 * k)) = k.
  Proof.
    assert (E : Nat.even (2 * k) = true) by (apply (proj2 (Nat.even_spec (2 * k))); exists k; reflexivity).
    repeat split; auto using Nat.div2_double, Nat.div2_succ_double.
    rewrite Nat.even_succ. unfold Nat.odd. rewrite E. reflexivity.
  Qed.

  Lemma two_layers k x y q : length q = (2 * k)%nat ->
    val (y :: x :: q) = val q + a k * Z.of_nat x /\
    cst (y :: x :: q) = cst q + a k * Z.of_nat (state 1%nat nxt q) * Z.of_nat x + a k * Z.of_nat x * Z.of_nat y.
  Proof.
    intros E. destruct (parity k) as (P1 & P2 & P3 & P4).
    unfold val, cst, worth, spent. cbn [total length state]. rewrite E.
    unfold ss_value, ss_cost. rewrite P1, P2, P3, P4. unfold nxt, chain_next. lia.
  Qed.

  Lemma ss_any k p : allowed 1%nat nxt chs p -> length p = (2 * k)%nat ->
    (1 <= state 1%nat nxt p)%nat /\ 2 * val p <= cst p /\ exists X, val p = sum a k + part X k.
  Proof.
    revert p. induction k as [|k IH]; intros p A E.
    - destruct p; [|discriminate]. split; [simpl; lia|]. split; [unfold val, cst, worth, spent; simpl; lia|].
      exists (fun _ => false). reflexivity.
    - destruct p as [|y [|x q]]; try (simpl in E; lia).
      assert (Eq : length q = (2 * k)%nat) by (simpl in E; lia).
      destruct A as [[A Ax] Ay]. destruct (IH q A Eq) as (S1 & C1 & X & V1).
      destruct (two_layers k x y q Eq) as [V C]. rewrite V, C. pose proof (a_pos k).
      unfold chs, chain_choices, ss_widths in Ax, Ay. simpl in Ax, Ay.
      split; [simpl; unfold nxt, chain_next; lia|]. split.
      + assert (1 <= Z.of_nat (state 1%nat nxt q)) by lia. assert (1 <= Z.of_nat y) by lia.
        assert (0 <= Z.of_nat x) by lia.
        assert (a k * Z.of_nat x <= a k * Z.of_nat (state 1%nat nxt q) * Z.of_nat x) by nia.
        assert (a k * Z.of_nat x <= a k * Z.of_nat x * Z.of_nat y) by nia. lia.
      + exists (fun i => if (i =? k)%nat then (x =? 2)%nat else X i).
        assert (G : forall j, (j <= k)%nat ->
          part (fun i => if (i =? k)%nat then (x =? 2)%nat else X i) j = part X j).
        { unfold part. induction j as [|j IHj]; intros Hj; simpl; auto. rewrite IHj by lia.
          destruct (Nat.eqb_spec j k); [lia|reflexivity]. }
        unfold part in *. simpl. rewrite (G k (le_n _)), Nat.eqb_refl, V1.
        destruct Ax as [<-|[<-|[]]]; simpl; lia.
  Qed.

  Lemma ss_some k X : exists p, allowed 1%nat nxt chs p /\ length p = (2 * k)%nat /\
    state 1%nat nxt p = 1%nat /\ val p = sum a k + part X k /\ cst p = 2 * val p.
  Proof.
    induction k as [|k (q & A & E & St & V & C)].
    - exists []. unfold val, cst, part, worth, spent. simpl. auto.
    - exists (1%nat :: (if X k then 2 else 1)%nat :: q).
      destruct (two_layers k (if X k then 2 else 1)%nat 1%nat q E) as [V' C'].
      rewrite C', V', V, C, V, St.
      split; [|split; [simpl; rewrite E; lia|split; [reflexivity|]]].
      + simpl. split; [split; [exact A|]|auto]. unfold ss_widths. destruct (X k); simpl; auto.
      + unfold part. cbn [sum]. destruct (X k); split; lia.
  Qed.

  (** Some of the numbers add up to B exactly if some widths cost at most 2(A + B) and
      are worth at least A + B, where A is the sum of all numbers. *)
  Theorem subset_sum_chain B :
    (exists X, part X m = B) <->
    exists p, chain_feasible 1%nat ss_widths ss_cost (2 * m) (2 * (sum a m + B)) p /\
      sum a m + B <= worth 1%nat chain_next ss_value p.
  Proof.
    split.
    - intros [X HX]. destruct (ss_some m X) as (p & A & E & _ & V & C). exists p.
      fold val. split; [|unfold val, nxt in *; lia]. split; [exact A|]. split; [exact E|].
      intros r Hr. change (cst p <= 2 * (sum a m + B)). lia.
    - intros (p & (A & E & F) & H). destruct (ss_any m p A E) as (_ & C & X & V).
      exists X. specialize (F 0%nat ltac:(lia)).
      change (cst p <= 2 * (sum a m + B)) in F. change (sum a m + B <= val p) in H. lia.
  Qed.
End Subset_sum.

(** The page's small instance: 3 and 5, where some add up to 5, and none to 4. *)
Definition three_five (i : nat) : Z := match i with O => 3 | _ => 5 end.
Definition three_five_best : Z -> option Z := chain_dp 1 ss_widths (ss_value three_five) (ss_cost three_five) 4.
Example some_add_up_to_5 : three_five_best (2 * (8 + 5)) = Some 13.
Proof. reflexivity. Qed.
Example none_add_up_to_4 : three_five_best (2 * (8 + 4)) = Some 11.
Proof. reflexivity. Qed.
