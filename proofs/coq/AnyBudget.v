(** * AnyBudget.v -- one order of all items that is good at every capacity

    The items are numbered by density: [by_density] says p j / w j <= p i / w i for
    i < j, multiplied out.  An order of the items is a function [o]; [taken o k] is
    the set of its first [k] items, and [served o c k] says that this is the longest
    prefix that fits into the capacity [c].

    [any_budget_half]: one item in front, then the others by density, serves every
    capacity that holds each single item with at least half of the optimum.
    [head_density_third]: an optimal selection for [c1] in front, then the others by
    density, serves every capacity from [c1] on with at least a third of it.  Neither
    constant can be raised for these orders ([any_budget_half_sharp],
    [head_density_third_sharp]).                                               *)
From Coq Require Import Arith Lia Bool.
Require Import Knapsack TwoStages.

Definition by_density (n : nat) (w p : nat -> nat) :=
  forall i j, i < j -> j < n -> p j * w i <= p i * w j.

(** The first [k] items by number. *)
Definition below (k : nat) : sel := fun i => i <? k.

(** The first [k] items of an order. *)
Fixpoint taken (o : nat -> nat) (k : nat) : sel :=
  match k with
  | 0 => none
  | S k => cup (taken o k) (single (o k))
  end.

(** The longest prefix of an order that fits has [k] items. *)
Definition served (n : nat) (w : nat -> nat) (o : nat -> nat) (c k : nat) :=
  k <= n /\ W n w (taken o k) <= c /\ (k = n \/ c < W n w (taken o (S k))).

(** Item [s] first, then the others by number. *)
Definition front (s : nat) : nat -> nat :=
  fun k => match k with 0 => s | S i => if i <? s then i else S i end.

(** [s] is the last item that is worth at least all the items before it together. *)
Definition leader (n : nat) (p : nat -> nat) (s : nat) :=
  s < n /\ tot p every s <= p s /\ forall t, s < t -> t < n -> p t <= tot p every t.

(** The selection [A] first, then the others by number: the longest prefix that fits
    holds the items below [t], and [t] is the first item that does not fit. *)
Definition head_served (n : nat) (w : nat -> nat) (A : sel) (c t : nat) :=
  t <= n /\ W n w (cup A (below t)) <= c /\ (t = n \/ c < W n w (cup A (below (S t)))).

Section Density.
  Variable n : nat.
  Variables w p : nat -> nat.
  Notation W := (W n w).
  Notation P := (P n p).
  Notation feasible := (feasible n w).

  Lemma tot_below f k : k <= n -> tot f (below k) n = tot f every k.
  Proof.
    intros H. induction n as [|m IH]; [assert (k = 0) as -> by lia; reflexivity|].
    simpl. unfold below at 2. destruct (Nat.eq_dec k (S m)) as [->|N].
    - destruct (Nat.ltb_spec m (S m)); [|lia]. simpl. f_equal. apply tot_ext.
      intros i Hi. unfold below, every. destruct (Nat.ltb_spec i (S m)); [reflexivity|lia].
    - rewrite IH by lia. destruct (Nat.ltb_spec m k); lia.
  Qed.

  (** *** Two sets, the items of the first nowhere less dense than those of the second. *)
  Lemma dense_one (X : sel) a b m :
    (forall i, i < m -> X i = true -> b * w i <= p i * a) ->
    b * tot w X m <= tot p X m * a.
  Proof.
    intros H. induction m as [|m IH]; simpl; [lia|].
    assert (G : b * tot w X m <= tot p X m * a) by (apply IH; intros; apply H; auto; lia).
    pose proof (H m (Nat.lt_succ_diag_r m)) as Q.
    destruct (X m); [specialize (Q eq_refl)|]; lia.
  Qed.

  Lemma dense_two (X E : sel) m l :
    (forall i j, i < m -> j < l -> X i = true -> E j = true -> p j * w i <= p i * w j) ->
    tot p E l * tot w X m <= tot p X m * tot w E l.
  Proof.
    intros H. induction l as [|l IH]; simpl; [lia|].
    assert (G : tot p E l * tot w X m <= tot p X m * tot w E l).
    { apply IH. intros. apply H; auto; lia. }
    destruct (E l) eqn:EE; [|lia].
    assert (Q : p l * tot w X m <= tot p X m * w l).
    { apply dense_one. intros i Hi Xi. apply H; auto; lia. }
    lia.
  Qed.

  (** What weighs less than [m] times a denser set is worth at most [m] times as much. *)
  Lemma cover (R K : sel) m :
    (forall i j, i < n -> j < n -> K i = true -> R j = true -> K j = false -> p j * w i <= p i * w j) ->
    W R < m * W K -> P R <= m * P K.
  Proof.
    intros H L. destruct m as [|m]; [lia|]. unfold Knapsack.W, Knapsack.P in *.
    rewrite (tot_cap_minus w R K), (tot_cap_minus w K R) in L.
    rewrite (tot_cap_minus p R K), (tot_cap_minus p K R).
    assert (C : forall f, tot f (cap K R) n = tot f (cap R K) n).
    { intros f. apply tot_ext. intros i _. apply andb_comm. }
    rewrite !C in *.
    assert (D1 : tot p (minus R K) n * tot w (minus K R) n <= tot p (minus K R) n * tot w (minus R K) n).
    { apply dense_two. intros i j Hi Hj Ei Ej. unfold minus in Ei, Ej.
      apply andb_prop in Ei. apply andb_prop in Ej. rewrite negb_true_iff in *. apply H; tauto. }
    assert (D2 : tot p (minus R K) n * tot w (cap R K) n <= tot p (cap R K) n * tot w (minus R K) n).
    { apply dense_two. intros i j Hi Hj Ei Ej. unfold cap in Ei. unfold minus in Ej.
      apply andb_prop in Ei. apply andb_prop in Ej. rewrite negb_true_iff in *. apply H; tauto. }
    set (pe := tot p (minus R K) n) in *. set (we := tot w (minus R K) n) in *.
    set (pm := tot p (minus K R) n) in *. set (wm := tot w (minus K R) n) in *.
    set (pc := tot p (cap R K) n) in *. set (wc := tot w (cap R K) n) in *.
    assert (Y : pe * (S m * wm + m * wc) <= (S m * pm + m * pc) * we).
    { assert (S m * (pe * wm) <= S m * (pm * we)) by (apply Nat.mul_le_mono_l; auto).
      assert (m * (pe * wc) <= m * (pc * we)) by (apply Nat.mul_le_mono_l; auto). lia. }
    assert (Z : we < S m * wm + m * wc) by lia.
    assert (pe <= S m * pm + m * pc); [|lia].
    set (y := S m * wm + m * wc) in *. set (q := S m * pm + m * pc) in *.
    apply (Nat.mul_le_mono_pos_r pe q y); [lia|].
    assert (q * we <= q * y) by (apply Nat.mul_le_mono_l; lia). lia.
  Qed.

  Hypothesis dense : by_density n w p.

  (** The bound of the fractional knapsack: what fits into less than the first [k]
      items weigh is worth at most as much as these. *)
  Theorem fractional k c v : k <= n -> c < W (below k) -> is_OPT n w p c v -> v <= P (below k).
  Proof.
    intros Hk L (O & [F _] & <-). unfold Knapsack.feasible in F.
    rewrite <- (Nat.mul_1_l (P (below k))). apply cover; [|lia].
    intros i j Hi Hj Ki _ Kj. unfold below in *.
    apply Nat.ltb_lt in Ki. apply Nat.ltb_ge in Kj. apply dense; lia.
  Qed.

  (** ** One item in front, then by density *)

  Lemma leader_exists : 0 < n -> exists s, leader n p s.
  Proof.
    intros Hn.
    assert (G : forall m, m < n -> (forall t, m < t -> t < n -> p t <= tot p every t) ->
      exists s, leader n p s).
    { induction m as [|m IH]; intros Hm H.
      - exists 0. repeat split; auto. simpl. lia.
      - destruct (le_lt_dec (tot p every (S m)) (p (S m))) as [L|L].
        + exists (S m). repeat split; auto.
        + apply IH; [lia|]. intros t H1 H2. destruct (Nat.eq_dec t (S m)) as [->|N]; [lia|].
          apply H; lia. }
    apply (G (n - 1)); intros; lia.
  Qed.

  Lemma taken_front s k i :
    taken (front s) (S k) i = (i =? s) || (i <? (if k <=? s then k else S k)).
  Proof.
    induction k as [|k IH].
    - cbn [taken]. unfold cup, none, single, front. simpl. rewrite orb_false_r. reflexivity.
    - change (taken (front s) (S (S k))) with (cup (taken (front s) (S k)) (single (front s (S k)))).
      unfold cup. rewrite IH. unfold single, front.
      destruct (Nat.ltb_spec k s), (Nat.leb_spec k s), (Nat.leb_spec (S k) s); try lia;
        repeat match goal with
        | |- context [?a <? ?b] => destruct (Nat.ltb_spec a b)
        | |- context [?a =? ?b] => destruct (Nat.eqb_spec a b)
        end; simpl; lia || reflexivity.
  Qed.

  Lemma taken_late s k : s <= k -> forall i, taken (front s) (S k) i = below (S k) i.
  Proof.
    intros H i. rewrite taken_front. unfold below.
    destruct (Nat.leb_spec k s);
      repeat match goal with
      | |- context [?a <? ?b] => destruct (Nat.ltb_spec a b)
      | |- context [?a =? ?b] => destruct (Nat.eqb_spec a b)
      end; simpl; lia || reflexivity.
  Qed.

  (** Every order has its longest prefix. *)
  Lemma served_exists o c : exists k, served n w o c k.
  Proof.
    assert (G : forall m, m <= n ->
      (exists k, served n w o c k) \/ W (taken o m) <= c).
    { induction m as [|m IH]; intros H.
      - right. unfold Knapsack.W. simpl. rewrite tot_none. lia.
      - destruct IH as [E|E]; [lia|left; exact E|].
        destruct (le_lt_dec (W (taken o (S m))) c) as [L|L]; [right; exact L|left].
        exists m. split; [lia|split; [exact E|right; exact L]]. }
    destruct (G n (le_n n)) as [E|E]; [exact E|]. exists n. repeat split; auto.
  Qed.

  Theorem any_budget_half s c k v :
    leader n p s -> all_fit n w c -> served n w (front s) c k -> is_OPT n w p c v ->
    v <= 2 * P (taken (front s) k).
  Proof.
    intros (Hs & lead & follow) fit (Hk & _ & next) HO.
    destruct k as [|k].
    { exfalso. destruct next as [E|E]; [lia|]. cbn [taken] in E.
      assert (W (cup none (single (front s 0))) = w s); [|specialize (fit s Hs); lia].
      unfold Knapsack.W. rewrite <- (tot_single_in w s n Hs). apply tot_ext. reflexivity. }
    destruct (Nat.eq_dec (S k) n) as [Q|Q].
    { destruct HO as (O & [_ _] & <-). assert (P O <= P (taken (front s) (S k))); [|lia].
      apply tot_le. intros i Hi _. rewrite taken_late by lia. unfold below. apply Nat.ltb_lt. lia. }
    destruct next as [E|E]; [lia|].
    destruct (le_lt_dec s k) as [L|L].
    - assert (B : v <= P (below (S (S k)))).
      { apply (fractional _ c); [lia| |exact HO]. eapply Nat.lt_le_trans; [exact E|].
        apply tot_le. intros i _ Hi. rewrite taken_late in Hi by lia. exact Hi. }
      assert (T : P (taken (front s) (S k)) = tot p every (S k)).
      { rewrite <- tot_below by lia. apply tot_ext. intros i _. apply taken_late. lia. }
      unfold Knapsack.P at 1 in B. rewrite tot_below in B by lia.
      change (tot p every (S (S k))) with (tot p every (S k) + p (S k)) in B.
      specialize (follow (S k)). lia.
    - assert (B : v <= P (below (S s))).
      { apply (fractional _ c); [lia| |exact HO]. eapply Nat.lt_le_trans; [exact E|].
        apply tot_le. intros i _ Hi. rewrite taken_front in Hi. unfold below. apply Nat.ltb_lt.
        apply orb_prop in Hi as [Hi|Hi]; [apply Nat.eqb_eq in Hi; lia|]. apply Nat.ltb_lt in Hi.
        destruct (Nat.leb_spec (S k) s); lia. }
      assert (T : p s <= P (taken (front s) (S k))).
      { rewrite <- (tot_single_in p s n Hs). apply tot_le. intros i _ Hi. rewrite taken_front.
        unfold single in Hi. rewrite Hi. reflexivity. }
      unfold Knapsack.P at 1 in B. rewrite tot_below in B by lia.
      change (tot p every (S s)) with (tot p every s + p s) in B. lia.
  Qed.

  (** ** An optimal selection for c1 in front, then by density *)
  Theorem head_density_third c1 c t v A :
    all_fit n w c1 -> optimal n w p c1 A -> head_served n w A c t -> is_OPT n w p c v ->
    v <= 3 * P (cup A (below t)).
  Proof.
    intros fit [FA best] (Ht & _ & next) (O & [FO _] & <-). unfold Knapsack.feasible in *.
    assert (inside : P A <= P (cup A (below t))) by (apply P_sub, sub_cup).
    destruct (Nat.eq_dec t n) as [->|N].
    { assert (P O <= P (cup A (below n))); [|lia]. apply tot_le. intros i Hi _.
      unfold cup, below. apply orb_true_intro. right. apply Nat.ltb_lt. exact Hi. }
    destruct next as [E|E]; [lia|].
    set (F := minus (below t) A). set (K := minus (below (S t)) A).
    assert (split : forall f m, tot f (cup A (below m)) n = tot f A n + tot f (minus (below m) A) n).
    { intros f m. apply tot_add; intros i _; unfold cup, minus;
      destruct (A i), (below m i); simpl; auto; discriminate. }
    assert (WK : W (cup A (below (S t))) = W A + W K) by apply split.
    assert (PF : P (cup A (below t)) = P A + P F) by apply split.
    assert (PK : P K <= P F + p t).
    { unfold Knapsack.P. rewrite <- (tot_single_in p t n) by lia.
      transitivity (tot p (cup F (single t)) n).
      - apply tot_le. intros i _ Hi. unfold K, F, cup, minus, below, single in *.
        apply andb_prop in Hi as [Hi ->]. apply Nat.ltb_lt in Hi.
        destruct (Nat.ltb_spec i t), (Nat.eqb_spec i t); simpl; lia || reflexivity.
      - rewrite cup_disj; [lia|]. intros i _ Hi. unfold F, minus, below, single in *.
        apply andb_prop in Hi as [Hi _]. apply Nat.ltb_lt in Hi. apply Nat.eqb_neq. lia. }
    assert (pt : p t <= P A).
    { rewrite <- (P_single n p t) by lia. apply best. rewrite W_single by lia. apply fit. lia. }
    destruct (le_lt_dec (W K) (W A)) as [L|L].
    - assert (P O <= (2 * 2 - 1) * P A); [|lia].
      apply (blocks n w p c1); auto. unfold Knapsack.W in *. lia.
    - assert (Q : P (minus O A) <= 2 * P K).
      { apply cover.
        - intros i j Hi Hj Ki Rj Kj. unfold K, minus, below in *.
          apply andb_prop in Ki as [Ki _]. apply andb_prop in Rj as [_ Rj]. rewrite Rj in Kj.
          rewrite andb_true_r in Kj. apply Nat.ltb_lt in Ki. apply Nat.ltb_ge in Kj. apply dense; lia.
        - assert (W (minus O A) <= W O) by (apply tot_le, sub_minus). lia. }
      assert (P O = P (cap O A) + P (minus O A)) by apply tot_cap_minus.
      assert (P (cap O A) <= P A).
      { apply tot_le. intros i _ Hi. unfold cap in Hi. apply andb_prop in Hi. tauto. }
      lia.
  Qed.
End Density.

(** ** Neither constant can be raised *)

(** Three items of weight and profit q+1, q+1, q: the order starts with the second. *)
Definition trio (q : nat) : nat -> nat := fun i => if i =? 2 then q else q + 1.

Theorem any_budget_half_tight q :
  by_density 3 (trio q) (trio q) /\ all_fit 3 (trio q) (q + 1) /\ leader 3 (trio q) 1 /\
  served 3 (trio q) (front 1) (2 * q + 1) 1 /\ is_OPT 3 (trio q) (trio q) (2 * q + 1) (2 * q + 1) /\
  P 3 (trio q) (taken (front 1) 1) = q + 1.
Proof.
  split; [intros i j _ _; lia|]. split; [intros i Hi; unfold trio; destruct (i =? 2); lia|].
  split.
  { split; [lia|split; [cbn; lia|]]. intros t H1 H2. assert (t = 2) as -> by lia. cbn. lia. }
  split; [unfold served; cbn; lia|]. split; [|cbn; lia].
  exists (fun i => negb (i =? 1)). split; [split|].
  - unfold feasible; cbn; lia.
  - intros T HT. unfold feasible in HT. change (P 3 (trio q) T) with (W 3 (trio q) T). cbn in *. lia.
  - cbn. lia.
Qed.

(** Hence nothing above one half is guaranteed. *)
Corollary any_budget_half_sharp g h : h < 2 * g ->
  exists n w p s c1 c k v,
    by_density n w p /\ all_fit n w c1 /\ c1 <= c /\ leader n p s /\ served n w (front s) c k /\
    is_OPT n w p c v /\ h * P n p (taken (front s) k) < g * v.
Proof.
  intros H. destruct (any_budget_half_tight h) as (h1 & h2 & h3 & h4 & h5 & h6).
  exists 3, (trio h), (trio h), 1, (h + 1), (2 * h + 1), 1, (2 * h + 1).
  repeat (split; [assumption || lia|]). rewrite h6.
  assert ((h + 1) * h <= 2 * g * h) by (apply Nat.mul_le_mono_r; lia). lia.
Qed.

(** Weights m+4, m+1, m+1, m+1, each worth its weight, and 2m, worth m+4 only: the last
    alone is optimal at 2m, and then the first item, the densest, does not fit beside it. *)
Definition five_w (m i : nat) : nat :=
  match i with 0 => m + 4 | 4 => 2 * m | _ => m + 1 end.
Definition five_p (m i : nat) : nat :=
  match i with 0 => m + 4 | 4 => m + 4 | _ => m + 1 end.

Theorem head_density_third_tight m : 4 <= m ->
  by_density 5 (five_w m) (five_p m) /\ all_fit 5 (five_w m) (2 * m) /\
  optimal 5 (five_w m) (five_p m) (2 * m) (single 4) /\
  head_served 5 (five_w m) (single 4) (3 * m + 3) 0 /\
  is_OPT 5 (five_w m) (five_p m) (3 * m + 3) (3 * m + 3) /\
  P 5 (five_p m) (cup (single 4) (below 0)) = m + 4.
Proof.
  intros Hm.
  split. { intros i j H1 H2. destruct i as [|[|[|[|i]]]], j as [|[|[|[|[|j]]]]]; cbn; try lia; nia. }
  split. { intros i Hi. destruct i as [|[|[|[|[|i]]]]]; cbn; lia. }
  split.
  { split; [unfold feasible; cbn; lia|]. intros T HT. unfold feasible in HT. cbn in *.
    destruct (T 0), (T 1), (T 2), (T 3), (T 4); lia. }
  split; [unfold head_served; cbn; lia|]. split; [|cbn; lia].
  exists (fun i => (1 <=? i) && (i <=? 3)). split; [split|].
  - unfold feasible; cbn; lia.
  - intros T HT. unfold feasible in HT. cbn in *.
    destruct (T 0), (T 1), (T 2), (T 3), (T 4); lia.
  - cbn. lia.
Qed.

Corollary head_density_third_sharp g h : h < 3 * g ->
  exists n w p c1 A c t v,
    by_density n w p /\ all_fit n w c1 /\ optimal n w p c1 A /\ c1 <= c /\
    head_served n w A c t /\ is_OPT n w p c v /\ h * P n p (cup A (below t)) < g * v.
Proof.
  intros H. set (m := 3 * h + 4).
  destruct (head_density_third_tight m) as (h1 & h2 & h3 & h4 & h5 & h6); [lia|].
  exists 5, (five_w m), (five_p m), (2 * m), (single 4), (3 * m + 3), 0, (3 * m + 3).
  repeat (split; [assumption || lia|]). rewrite h6.
  assert ((h + 1) * m <= 3 * g * m) by (apply Nat.mul_le_mono_r; lia). lia.
Qed.
