(** * Stages.v -- several capacities [c 1 <= c 2 <= ...]

    Bottom-up chains with items of any granularity, solved exactly or to a
    fraction.  Top-down chains: TopDown.v.                                     *)
From Coq Require Import Arith Lia Bool.
Require Import Knapsack TwoStages.

(** ** Bottom-up

    [a] is the granularity: every increment [c (i+1) - c i] has room for [a] items,
    however heavy ([d] bounds the weights).  Capacity 0 is the start: with
    [c 0 = 0] the first increment is [c 1] itself.                             *)
Section BottomUp.
  Variable n : nat.
  Variables w p c : nat -> nat.
  Variables u v a d N : nat.
  Variable A : nat -> sel.
  Hypothesis accuracy : u <= v.
  Hypothesis granular : 1 <= a.
  Hypothesis small : all_fit n w d.
  Hypothesis incr : forall i, i < N -> c i + a * d <= c (S i).
  Hypothesis stages : near_bottom_up_chain n w p u v N c A.
  Notation W := (W n w).
  Notation P := (P n p).
  Notation count := (count n).

  Lemma A0 i : i < n -> A 0 i = false.
  Proof. apply stages. Qed.
  Lemma stage i : i < N -> near_extends n w p u v (c (S i)) (A i) (A (S i)).
  Proof. apply stages. Qed.

  Lemma room i : i <= N -> W (A i) <= c i.
  Proof.
    intros Hi. destruct i as [|i]; [|apply (stage i); lia].
    unfold Knapsack.W. rewrite (tot_ext w (A 0) none n) by (intros; apply A0; auto).
    rewrite tot_none. lia.
  Qed.

  Lemma chain i j : i <= j -> j <= N -> sub n (A i) (A j).
  Proof.
    induction 1 as [|j H IH]; intros HN; [apply sub_refl|].
    eapply sub_trans; [apply IH; lia|]. apply (stage j); lia.
  Qed.

  Lemma mono i j : i <= j -> j <= N -> P (A i) <= P (A j).
  Proof. intros H1 H2. apply P_sub. apply chain; auto. Qed.

  Lemma cincr i r : i + r <= N -> c i + a * r * d <= c (i + r).
  Proof.
    induction r as [|r IH]; intros H; [replace (i + 0) with i by lia; lia|].
    rewrite Nat.add_succ_r. pose proof (incr (i + r) ltac:(lia)).
    specialize (IH ltac:(lia)). replace (a * S r * d) with (a * r * d + a * d) by lia. lia.
  Qed.

  (** What a stage gains, at least: the fraction u/v of everything that it could
      have put on top. *)
  Lemma gain_any i X : i < N -> disj n (A i) X -> W (A i) + W X <= c (S i) ->
    v * P (A i) + u * P X <= v * P (A (S i)).
  Proof.
    intros Hi HX HW. destruct (stage i Hi) as (_ & _ & best).
    specialize (best (cup (A i) X) (sub_cup n _ _)). unfold gain, feasible in best.
    rewrite W_cup, P_cup in best by auto. specialize (best HW).
    replace (P (A i) + P X - P (A i)) with (P X) in best by lia.
    pose proof (mono i (S i) ltac:(lia) Hi).
    assert (exists g, P (A (S i)) = P (A i) + g) as [g E] by (exists (P (A (S i)) - P (A i)); lia).
    rewrite E in *. replace (P (A i) + g - P (A i)) with g in best by lia. lia.
  Qed.

  Lemma gain_few i X : i < N -> disj n (A i) X -> count X <= a ->
    v * P (A i) + u * P X <= v * P (A (S i)).
  Proof.
    intros Hi HX HC. apply gain_any; auto.
    assert (W X <= d * count X) by (apply tot_upper; auto).
    pose proof (room i ltac:(lia)). pose proof (incr i Hi).
    assert (d * count X <= d * a) by (apply Nat.mul_le_mono_l; auto). lia.
  Qed.

  (** If [a] items, each worth at least [q], are still free after stage [i], then each
      of the stages 1 .. i could have taken them. *)
  Lemma gains_before i X q : i <= N -> disj n (A i) X -> count X = a ->
    (forall x, x < n -> X x = true -> q <= p x) -> u * (a * i * q) <= v * P (A i).
  Proof.
    intros HN. revert X. induction i as [|i IH]; intros X HX HC Hq; [lia|].
    assert (Hd : disj n (A i) X).
    { intros x Hx E. apply HX; auto. apply (chain i (S i)); auto. }
    specialize (IH ltac:(lia) X Hd HC Hq).
    pose proof (gain_few i X ltac:(lia) Hd ltac:(lia)).
    assert (Q : q * count X <= P X) by (apply tot_lower; auto). rewrite HC in Q.
    assert (u * (q * a) <= u * P X) by (apply Nat.mul_le_mono_l; auto). lia.
  Qed.

  (** If [U] holds at least [a*r] items, all worth at least [q] and free after stage
      [i], then [r] further stages gain at least u/v * a * r * q. *)
  Lemma gains_after i U q r t : i + t <= N ->
    disj n (A i) U -> (forall x, x < n -> U x = true -> q <= p x) ->
    a * r <= count U -> t <= r -> v * P (A i) + u * (a * t * q) <= v * P (A (i + t)).
  Proof.
    intros HN Hd Hq Hr. induction t as [|t IH]; intros Ht.
    - replace (i + 0) with i by lia. lia.
    - specialize (IH ltac:(lia) ltac:(lia)). rewrite Nat.add_succ_r in *.
      set (R := minus U (A (i + t))).
      assert (dR : disj n (A (i + t)) R).
      { intros x _ E. unfold R, minus. rewrite E. apply andb_false_r. }
      assert (qR : forall x, x < n -> R x = true -> q <= p x).
      { intros x Hx E. apply Hq; auto. apply (sub_minus n U (A (i + t))); auto. }
      destruct (le_lt_dec a (count R)) as [L|L].
      + (* a items of U are still free: take them *)
        destruct (pick n p R a L) as (X & HX & EX).
        pose proof (gain_few (i + t) X ltac:(lia) (disj_sub n _ _ _ dR HX) ltac:(lia)).
        assert (Q : q * count X <= P X) by (apply tot_lower; auto). rewrite EX in Q.
        assert (u * (q * a) <= u * P X) by (apply Nat.mul_le_mono_l; auto). lia.
      + (* fewer: take all the rest; then all of U has been gained *)
        pose proof (gain_few (i + t) R ltac:(lia) dR ltac:(lia)) as G.
        assert (S1 : P (A i) + P (cap U (A (i + t))) <= P (A (i + t))).
        { rewrite <- P_cup.
          - apply P_sub. intros x Hx E. unfold cup, cap in E. apply orb_prop in E as [E|E].
            + apply (chain i (i + t)); auto; lia.
            + apply andb_prop in E. tauto.
          - eapply disj_sub; [exact Hd|apply sub_cap]. }
        assert (S2 : q * count U <= P U) by (apply tot_lower; auto).
        assert (S3 : P U = P (cap U (A (i + t))) + P R) by apply tot_cap_minus.
        assert (S4 : q * (a * S t) <= P U).
        { apply Nat.le_trans with (q * count U); auto. apply Nat.mul_le_mono_l.
          apply Nat.le_trans with (a * r); auto. apply Nat.mul_le_mono_l; auto. }
        assert (S5 : u * (q * (a * S t)) <= u * P U) by (apply Nat.mul_le_mono_l; auto).
        assert (S6 : v * (P (A i) + P (cap U (A (i + t)))) <= v * P (A (i + t)))
          by (apply Nat.mul_le_mono_l; auto).
        assert (S7 : u * P (cap U (A (i + t))) <= v * P (cap U (A (i + t))))
          by (apply Nat.mul_le_mono_r; auto).
        rewrite S3 in S5. lia.
  Qed.

  (** [C] completes [A i] to capacity [c j]. *)
  Definition completes (j i : nat) (C : sel) := disj n (A i) C /\ W (A i) + W C <= c j.

  (** One stage destroys at most [q] of the best completion, with
      u * a * j * q <= v * p(A j). *)
  Lemma step j i C : j <= N -> S i < j -> completes j i C ->
    exists C' q, completes j (S i) C' /\
      v * P (A i) + u * P C <= v * P (A (S i)) + u * P C' + u * q /\
      u * (a * j * q) <= v * P (A j).
  Proof.
    intros HN Hij [HdC HwC].
    pose (T := A (S i)).
    assert (join : forall D, sub n D C -> W (A i) + W D <= c (S i) ->
              v * P (A i) + u * P D <= v * P T).
    { intros D HD HwD. apply gain_any; auto; [lia|]. eapply disj_sub; eauto. }
    assert (HcapT : W (A i) + W (cap C T) <= c (S i)).
    { apply Nat.le_trans with (W T); [|apply room; lia].
      rewrite <- W_cup.
      - apply tot_le. intros x Hx E. unfold cup, cap in E. apply orb_prop in E as [E|E].
        + apply (chain i (S i)); auto; lia.
        + apply andb_prop in E. tauto.
      - eapply disj_sub; [exact HdC|apply sub_cap]. }
    (* the room for C at stage i+1 is c (i+1) - W (A i) *)
    destruct (ordered_parts n w p C T (c (S i) - W (A i)))
      as [H|(b & s & U & f & h1 & h2 & h3 & h4 & h5 & h6 & h7 & h8 & h9 & h10 & h11 & h12 & h13)];
      [lia| |].
    { exists none, 0. split; [split|split].
      - intros x _ _; reflexivity.
      - assert (Wn : W none = 0) by apply tot_none. rewrite Wn.
        pose proof (room (S i) ltac:(lia)).
        pose proof (cincr (S i) (j - S i) ltac:(lia)) as B.
        replace (S i + (j - S i)) with j in B by lia.
        pose proof (Nat.le_add_r (c (S i)) (a * (j - S i) * d)). lia.
      - assert (v * P (A i) + u * P C <= v * P T) by (apply join; [apply sub_refl|lia]).
        unfold T in *. lia.
      - lia. }
    assert (EP : P C = P b + P U) by apply h11.
    assert (EU : P U = p s + P f) by apply h12.
    assert (Qb : v * P (A i) + u * P b <= v * P T) by (apply join; auto; lia).
    pose (r := j - S i).
    destruct (le_lt_dec (count U) (a * r)) as [L|L].
    - (* everything left still fits into the later stages *)
      exists U, 0. split; [split|split].
      + exact h8.
      + assert (X : W U <= d * count U) by (apply tot_upper; auto).
        assert (d * count U <= d * (a * r)) by (apply Nat.mul_le_mono_l; auto).
        pose proof (cincr (S i) r ltac:(unfold r; lia)) as B.
        replace (S i + r) with j in B by (unfold r; lia).
        pose proof (room (S i) ltac:(lia)). lia.
      + fold T. rewrite EP. lia.
      + lia.
    - exists f, (p s). split; [split|split].
      + eapply disj_sub; [exact h8|exact h7].
      + pose proof (h11 w). pose proof (h12 w). pose proof (room (S i) ltac:(lia)).
        unfold Knapsack.W in *. lia.
      + fold T. rewrite EP, EU. lia.
      + assert (Lr : a * 1 <= a * r) by (apply Nat.mul_le_mono_l; unfold r; lia).
        destruct (pick n p U a) as (X & HX & EX); [lia|].
        pose proof (gains_before (S i) X (p s) ltac:(lia) (disj_sub n _ _ _ h8 HX) EX
                      ltac:(auto)) as B1.
        pose proof (gains_after (S i) U (p s) r r ltac:(unfold r; lia) h8 h13
                      ltac:(lia) (le_n r)) as B2.
        replace (S i + r) with j in B2 by (unfold r; lia).
        assert (Ej : j = S i + r) by (unfold r; lia).
        replace (a * j * p s) with (a * S i * p s + a * r * p s) by (rewrite Ej; lia). lia.
  Qed.

  (** ** Theorems T3 and T4: several bottom-up stages of granularity [a], each
      solved to the fraction u/v:
      p(A j) >= u/v * a j / (a j + j - 1) * OPT(c j). *)
  Theorem stages_near j opt : 1 <= j -> j <= N -> is_OPT n w p (c j) opt ->
    u * (a * j * opt) <= v * ((a * j + j - 1) * P (A j)).
  Proof.
    intros Hj HN (O & [HO _] & <-).
    assert (G : forall i, i < j -> exists C Q, completes j i C /\
      u * P O <= v * P (A i) + u * P C + u * Q /\ u * (a * j * Q) <= i * (v * P (A j))).
    { induction i as [|i IH]; intros Hi.
      - exists O, 0. split; [split|split; lia].
        + intros x Hx E. rewrite A0 in E by auto. discriminate.
        + unfold feasible in HO. unfold Knapsack.W at 1.
          rewrite (tot_ext w (A 0) none n) by (intros; apply A0; auto). rewrite tot_none. lia.
      - destruct IH as (C & Q & HC & H1 & H2); [lia|].
        destruct (step j i C HN Hi HC) as (C' & q & HC' & H3 & H4).
        exists C', (Q + q). split; [exact HC'|split; lia]. }
    destruct (G (j - 1)) as (C & Q & [Hd Hw] & H1 & H2); [lia|].
    destruct j as [|j]; [lia|]. replace (S j - 1) with j in * by lia.
    assert (H3 : v * P (A j) + u * P C <= v * P (A (S j))) by (apply gain_any; auto; lia).
    assert (H4 : u * P O <= v * P (A (S j)) + u * Q) by lia.
    assert (H5 : a * S j * (u * P O) <= a * S j * (v * P (A (S j)) + u * Q))
      by (apply Nat.mul_le_mono_l; auto).
    replace (a * S j + S j - 1) with (a * S j + j) by lia. lia.
  Qed.
End BottomUp.

(** ** Theorem T3: the same for stages that are solved exactly.

    With a = 1 (25, 50, 75, 100 per cent and no item above 25): 1, 2/3, 3/5, 4/7. *)
Theorem stages_granularity n w p c a d N A j opt :
  1 <= a -> all_fit n w d -> (forall i, i < N -> c i + a * d <= c (S i)) ->
  bottom_up_chain n w p N c A ->
  1 <= j -> j <= N -> is_OPT n w p (c j) opt ->
  a * j * opt <= (a * j + j - 1) * P n p (A j).
Proof.
  intros Ha Hw Hi [H0 HS] Hj HN HO.
  pose proof (stages_near n w p c 1 1 a d N A (le_n 1) Ha Hw Hi) as H.
  specialize (H (conj H0 (fun i Li => extends_near n w p _ _ _ (HS i Li))) j opt Hj HN HO). lia.
Qed.
