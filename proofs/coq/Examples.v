(** * Examples.v -- the theorems at work on one small instance

    One item (1, 7) and three items (2, 23), capacities 3 and 6 (k = 2).  Bottom-up:
    {7, 23} = 30, then {7, 23, 23} = 53.  Top-down: {23, 23, 23} = 69, then {23}.
    The optima are 30 and 69.  Every hypothesis of every theorem is met here, so
    none of them is empty.  (The worst-case families in Tight.v do the same for
    all values of the parameters.)                                             *)
From Coq Require Import Arith ZArith Lia Bool List Setoid Morphisms.
Require Import Knapsack TwoStages Stages Tight TopDown Prefix Bilinear BilinearStages Price Network Programs NetworkExamples.
Import ListNotations.

Definition w4 := two 1 1 2.
Definition p4 := two 1 7 23.
Definition a1 := firsts 1 1 1.
Definition a2 := firsts 1 1 2.
Definition d2 := firsts 1 0 3.
Definition d1 := firsts 1 0 1.

Ltac counts := unfold w4, p4, a1, a2, d1, d2;
  match goal with
  | |- optimal _ _ _ _ _ => apply (optimal_two 1 3)
  | |- extends _ _ _ _ _ _ => apply (extends_two 1 3)
  | |- restricts _ _ _ _ _ _ => apply (restricts_two 1 3)
  | |- is_OPT _ _ _ 3 _ => apply (OPT_two 1 3) with (a := 1) (b := 1)
  | |- is_OPT _ _ _ _ _ => apply (OPT_two 1 3) with (a := 0) (b := 3)
  end; lia.

Example fits : all_fit 4 w4 3.
Proof. apply (all_fit_two 1 3); lia. Qed.
Example up : bottom_up_pair 4 w4 p4 3 6 a1 a2.
Proof. split; counts. Qed.
Example down : top_down_pair 4 w4 p4 3 6 d1 d2.
Proof. split; counts. Qed.
Example best3 : is_OPT 4 w4 p4 3 30.
Proof. counts. Qed.
Example best6 : is_OPT 4 w4 p4 6 69.
Proof. counts. Qed.

(** T1, T2, T6, T7 *)
Example use_bottom_up : 2 * 69 <= 3 * P 4 p4 a2.
Proof. exact (bottom_up_ratio 4 w4 p4 2 3 6 a1 a2 69 ltac:(lia) ltac:(lia) fits up best6). Qed.
Example use_top_down : 30 <= 2 * P 4 p4 d1.
Proof. exact (top_down_half 4 w4 p4 3 6 d1 d2 30 ltac:(lia) fits down best3). Qed.
Example use_best_of_both :
  8 * (30 + 69) <= 9 * Nat.max (P 4 p4 a1 + P 4 p4 a2) (P 4 p4 d1 + P 4 p4 d2).
Proof.
  exact (best_of_both 4 w4 p4 2 3 6 a1 a2 d1 d2 30 69 ltac:(lia) ltac:(lia) fits up down best3 best6).
Qed.
(** 76/100 is below rho_2 = 0.7676; here p(D1)/OPT = 23/30 = 0.7667. *)
Example use_min_ratio : 76 * 30 <= 100 * P 4 p4 d1 \/ 76 * 69 <= 100 * P 4 p4 a2.
Proof.
  exact (min_ratio 4 w4 p4 2 76 100 3 6 a1 a2 d1 d2 30 69
           ltac:(lia) ltac:(lia) fits up down best3 best6 ltac:(lia)).
Qed.

(** T3, T5: the same pairs as chains over the capacities 0, 3, 6 *)
Definition caps (i : nat) := 3 * i.
Definition up_chain (i : nat) : sel := match i with 0 => none | 1 => a1 | _ => a2 end.
Definition down_chain (i : nat) : sel := match i with 0 | 1 => d1 | _ => d2 end.
Example chain_up : bottom_up_chain 4 w4 p4 2 caps up_chain.
Proof.
  split; [reflexivity|]. intros [|[|i]] Hi; [| |lia].
  - destruct up as [[H1 H2] _]. split; [apply sub_none|split; [exact H1|]].
    intros T _. apply H2.
  - apply up.
Qed.
Example chain_down : top_down_chain 4 w4 p4 2 caps down_chain.
Proof.
  split; [apply down|]. intros i H1 H2. assert (i = 1) by lia. subst. apply down.
Qed.
Example use_stages : 1 * 2 * 69 <= (1 * 2 + 2 - 1) * P 4 p4 a2.
Proof.
  refine (stages_granularity 4 w4 p4 caps 1 3 2 up_chain 2 69 _ fits _ chain_up _ _ best6);
    unfold caps; lia.
Qed.
(** Light items, granularity 2: capacities 6 and 12 have room for two items each time. *)
Example use_granularity : exists A opt, bottom_up_chain 4 w4 p4 2 (fun i => 6 * i) A /\
  is_OPT 4 w4 p4 (6 * 2) opt /\ 2 * 2 * opt <= (2 * 2 + 2 - 1) * P 4 p4 (A 2).
Proof.
  destruct (bottom_up_pair_exists 4 w4 p4 6 12 ltac:(lia)) as (A1 & A2 & H1 & H2).
  destruct (OPT_exists 4 w4 p4 12) as [opt HO].
  set (A := fun i => match i with 0 => none | 1 => A1 | _ => A2 end).
  assert (C : bottom_up_chain 4 w4 p4 2 (fun i => 6 * i) A).
  { split; [reflexivity|]. intros [|[|i]] Hi; [| |lia].
    - split; [apply sub_none|split; [apply H1|]]. intros T _. apply H1.
    - exact H2. }
  exists A, opt. split; [exact C|split; [exact HO|]].
  refine (stages_granularity 4 w4 p4 (fun i => 6 * i) 2 3 2 A 2 opt _ fits _ C _ _ HO); lia.
Qed.
Example use_top_down_stages : 30 <= (2 - 1 + 1) * P 4 p4 d1.
Proof.
  refine (top_down_stages_exact 4 w4 p4 caps 2 down_chain 1 30 fits _ chain_down _ _ best3);
    unfold caps; lia.
Qed.

(** T4: stages solved to one half.  Bottom-up {23}, {23, 23}; top-down {23, 23}, {23}. *)
Definition e1 := firsts 1 0 1.
Definition e2 := firsts 1 0 2.
Ltac sixteen T := unfold feasible, gain in *;
  cbv [W P tot w4 p4 two e1 e2 firsts Nat.ltb Nat.leb Nat.sub] in *;
  destruct (T 0), (T 1), (T 2), (T 3); lia.
Example near_up : near_bottom_up_pair 4 w4 p4 1 2 3 6 e1 e2.
Proof.
  split.
  - split; [unfold feasible; cbv; lia|]. intros T HT. sixteen T.
  - split; [apply (firsts_sub 1 3); lia|]. split; [unfold feasible; cbv; lia|].
    intros T HS HT. assert (E : T 1 = true) by (apply HS; [lia|reflexivity]). clear HS.
    unfold gain. change (P 4 p4 e1) with 23. change (P 4 p4 e2) with 46.
    unfold feasible in HT. cbv [W P tot w4 p4 two Nat.ltb Nat.leb] in *. rewrite E in *.
    destruct (T 0), (T 2), (T 3); lia.
Qed.
Example use_bottom_up_near : 2 * (1 * 69) <= (2 + 1) * (2 * P 4 p4 e2).
Proof.
  exact (bottom_up_near 4 w4 p4 1 2 2 3 6 e1 e2 69 ltac:(lia) ltac:(lia) fits near_up best6).
Qed.
Example near_down : near_top_down_pair 4 w4 p4 1 2 3 6 e1 e2.
Proof.
  split.
  - split; [unfold feasible; cbv; lia|]. intros T HT. sixteen T.
  - split; [apply (firsts_sub 1 3); lia|]. split; [unfold feasible; cbv; lia|].
    intros T HS HT. change (P 4 p4 e1) with 23. clear HS. unfold feasible in HT.
    cbv [W P tot w4 p4 two Nat.ltb Nat.leb] in *. destruct (T 0), (T 1), (T 2), (T 3); lia.
Qed.
Example use_top_down_near : 1 * 1 * 30 <= 2 * (2 * 1 + (2 * 2 - 1) * (2 - 1)) * P 4 p4 e1.
Proof.
  exact (top_down_near 4 w4 p4 1 2 2 3 6 e1 e2 30
           ltac:(lia) ltac:(lia) ltac:(lia) ltac:(lia) fits near_down best3).
Qed.
(** The same as a chain of two stages. *)
Definition near_chain (i : nat) := match i with 1 => e1 | _ => e2 end.
Example use_top_down_stages_near :
  1 * ((1 - (2 - 1) * 0) * 30) <= 2 * (((2 - 1 + 1) * 1 + (2 - 1) * (2 * 2 - 1)) * P 4 p4 (near_chain 1)).
Proof.
  refine (top_down_stages_near 4 w4 p4 1 2 caps 2 near_chain 1 (fun _ => 2) 30 _ fits _ _ _ _ _ best3);
    unfold caps; try lia.
  split; [apply near_down|]. intros i H1 H2. assert (i = 1) by lia. subst. apply near_down.
Qed.

(** Prefixes: two layers, {0} and {1, 2, 3}. *)
Definition lay (i : nat) := match i with 0 => 0 | _ => 1 end.
Example use_prefix X : exists Y, prefix 4 lay Y /\ W 4 w4 Y = W 4 w4 X /\ P 4 p4 X <= P 4 p4 Y.
Proof.
  destruct (prefix_exchange 4 w4 p4 lay) with (X := X) as (Y & h1 & h2 & h3 & _).
  - intros [|i] [|j] H; try discriminate; reflexivity.
  - intros [|i] [|j] H1 H2 H3; try discriminate; try lia. unfold p4, two. simpl. lia.
  - exists Y. auto.
Qed.

(** Bilinear costs: the lower bound on the instance of [bilinear_gap]. *)
Example use_bilinear_lower_bound :
  1101 <= 2 * value (linear 101) (linear 100) (5, 2).
Proof.
  destruct bilinear_gap as (h1 & h2 & h3 & _).
  refine (bilinear_lower_bound 5 10 (linear 101) (linear 100) 5 2 10 (5, 1) (5, 2) 1101
            _ _ _ _ _ _ _ h1 _ h3); auto using linear_subadditive; try lia.
  - intros a b H. unfold linear. lia.
  - intros a b H. unfold linear. lia.
  - apply h2.
Qed.

(** Both orders on the same instance: (5,1), (5,2) and (1,5), (1,10); the optima are 605 and 1101. *)
Definition v101 := linear 101.
Definition v100 := linear 100.
Lemma subadditive_linear_increasing q : subadditive (linear q) /\ increasing (linear q) /\ concave (linear q).
Proof.
  split; [apply linear_subadditive|]. unfold increasing, concave, linear.
  split; [intros; apply Nat.mul_le_mono_l; auto|split; intros; lia].
Qed.
Example ten_shrinks : b_optimal 5 10 v101 v100 10 (1, 10) /\ b_restricts 5 10 v101 v100 5 (1, 10) (1, 5).
Proof.
  unfold b_optimal, b_restricts, affordable, within, value, v101, v100, linear. cbn [fst snd].
  split; [split; [lia|]|split; [lia|split; [lia|]]]; intros [a b]; cbn [fst snd]; intros.
  - destruct a as [|[|[|[|[|[|a]]]]]]; lia.
  - assert (a = 1) by lia. subst a. lia.
Qed.
Example five_is_605 : b_OPT 5 10 v101 v100 5 605.
Proof. exists (5, 1). split; [apply bilinear_gap|reflexivity]. Qed.
Example use_bilinear_price : 2 * (2 + 1) * (605 + 1101) <= (3 * 2 + 1) *
  Nat.max (value v101 v100 (5, 1) + value v101 v100 (5, 2)) (value v101 v100 (1, 5) + value v101 v100 (1, 10)).
Proof.
  destruct bilinear_gap as (h1 & h2 & h3 & _). destruct ten_shrinks as [h4 h5].
  destruct (subadditive_linear_increasing 101) as (S1 & I1 & _), (subadditive_linear_increasing 100) as (S2 & I2 & _).
  refine (bilinear_price_total 5 10 v101 v100 5 2 10 (5, 1) (5, 2) (1, 5) (1, 10) 605 1101
            S1 S2 I1 I2 _ _ _ h1 h2 h4 h5 five_is_605 h3); lia.
Qed.
Example use_bilinear_price_min_ratio :
  70 * 605 <= 99 * value v101 v100 (1, 5) \/ 70 * 1101 <= 99 * value v101 v100 (5, 2).
Proof.
  destruct bilinear_gap as (h1 & h2 & h3 & _). destruct ten_shrinks as [h4 h5].
  destruct (subadditive_linear_increasing 101) as (S1 & I1 & _), (subadditive_linear_increasing 100) as (S2 & I2 & _).
  refine (bilinear_price_min_ratio 5 10 v101 v100 5 2 10 70 99 (5, 1) (5, 2) (1, 5) (1, 10) 605 1101
            S1 S2 I1 I2 _ _ _ h1 h2 h4 h5 five_is_605 h3 _); lia.
Qed.
Example use_bilinear_top_down_stages : 1101 <= 2 * value v101 v100 (1, 5).
Proof.
  destruct bilinear_gap as (_ & _ & h3 & _). destruct ten_shrinks as [h4 h5].
  destruct (subadditive_linear_increasing 101) as (_ & I1 & C1), (subadditive_linear_increasing 100) as (_ & I2 & C2).
  refine (bilinear_top_down_stages 5 10 v101 v100 (fun i => 5 * i) 2 (fun i => (1, 5 * i)) 1 2 1101
            C1 C2 I1 I2 _ h4 _ _ _ _ _ h3); try lia.
  intros k H1 H2. assert (k = 1) by lia. subst. exact h5.
Qed.

(** The three parts of {23, 23, 23} at capacity 3, beside {7}: 23, 23 and 23. *)
Example use_ordered_parts : exists b s f, 69 = P 4 p4 b + (p4 s + P 4 p4 f) /\
  W 4 w4 b <= 3 < W 4 w4 b + w4 s.
Proof.
  destruct (ordered_parts 4 w4 p4 d2 (single 0) 3)
    as [H|(b & s & u & f & _ & _ & _ & _ & _ & _ & _ & _ & h9 & h10 & h11 & h12 & _)].
  - cbv. lia.
  - exfalso. revert H. cbv. lia.
  - exists b, s, f. change 69 with (P 4 p4 d2). unfold P. rewrite (h11 p4), (h12 p4). auto.
Qed.

(** Networks: two hidden units swapped, mean and all, in a network with an activation
    that is not zero at zero; and one of the two kept. *)
Example swap_permutes : permutes swap 2.
Proof.
  split.
  - intros [|[|i]] H; simpl; lia.
  - intros [|[|i]] [|[|j]] H1 H2 E; simpl in *; lia.
Qed.
Definition net2 : net numbers :=
  small (fun o => Z.of_nat (3 * snd o)) (fun o i => Z.of_nat (snd o + 1)) plus_one.
Definition full (h : nat) := match h with 1 => 2 | _ => 1 end.
Definition kept1 (_ : nat) := 1.
Definition swap1 (h : nat) := match h with 1 => swap | _ => idn end.
Lemma swap1_permutes h : permutes (swap1 h) (full h).
Proof. destruct h as [|[|h]]; try exact swap_permutes; split; unfold swap1, idn; auto. Qed.
Lemma one_channel h c : full h = 1 -> on full [h] c -> c = (0, 0).
Proof. destruct c as [[|b] i]; intros E [A B]; unfold group in B; simpl in *; f_equal; lia. Qed.
Example use_network_permutation x :
  run full [0] (permute swap1 [0] net2) x (0, 0) = run full [0] net2 x (0, 0).
Proof.
  apply (network_permutation_invariant numbers full swap1 net2 [0] x swap1_permutes).
  - apply regular_numbers.
  - simpl; auto.
  - intros c H. rewrite (one_channel 0 c eq_refl H). reflexivity.
  - intros c H. rewrite (one_channel 2 c eq_refl H). reflexivity.
  - split; simpl; lia.
Qed.
Example use_network_prefix x : run kept1 [0] net2 x (0, 0) = run full [0] (masked kept1 [0] net2) x (0, 0).
Proof.
  apply (network_prefix_is_mask numbers full kept1 net2 [0] x).
  - intros [|[|h]]; unfold kept1, full; lia.
  - intros h [<-|[]]. reflexivity.
  - apply regular_numbers.
  - simpl. repeat split; intros; apply Z.mul_0_r.
  - simpl; auto.
  - split; simpl; unfold kept1; lia.
Qed.

(** A concatenation of groups 1 (two channels) and 3 (one channel): at widths 1 and 1 channels 0 and 2
    are kept, which is no prefix of the three. *)
Example use_channels_prefix : channels kept1 [1; 3] = [(0, 0); (1, 0)] /\
  channels full [1; 3] = [(0, 0); (0, 1); (1, 0)].
Proof. split; reflexivity. Qed.

(** One layer that is called twice, a norm over a batch of two, recalibrated: every hypothesis is met. *)
Definition twice : program :=
  PSeq (PMix [1] 0) (PSeq (PMix [1] 1) (PSeq (PMap 0) (PSeq (PMix [1] 1) (PSeq (PNorm 0) (PMix [2] 2))))).
Definition reads2 (n : nat) : axis := match n with 0 => [0] | _ => [1] end.
Definition makes2 (n : nat) : axis := match n with 2 => [2] | _ => [1] end.
Example twice_placed : placed reads2 makes2 [0] twice.
Proof. repeat split. Qed.
Lemma over_batch_ok : regular_norms summed over_batch /\ regular (build summed over_batch twice) /\
  mixes_zero (build summed over_batch twice) /\ tied [0] (build summed over_batch twice).
Proof.
  assert (S : Proper (eqv ==> eqv) summed) by (intros x y H e; unfold summed; rewrite !H; reflexivity).
  repeat split; auto; try (intros o i e; simpl; apply Z.mul_0_r); repeat intro; simpl in *.
  - rewrite H, H0. reflexivity.
  - rewrite H. reflexivity.
  - rewrite H. reflexivity.
  - rewrite H. reflexivity.
  - rewrite H. reflexivity.
  - unfold summed. rewrite !H. reflexivity.
  - rewrite H. reflexivity.
Qed.
Example use_recalibrate x z e :
  run kept1 [0] (recalibrated summed summed kept1 over_batch [0] twice x) z (0, 0) e =
  run full [0] (masked kept1 [0] (recalibrated_masked summed summed full kept1 over_batch [0] twice x)) z (0, 0) e.
Proof.
  destruct over_batch_ok as (Hn & HR & HZ & HT).
  apply (recalibrate_cut_is_mask_recalibrate _ summed summed full kept1 over_batch twice [0] x z); auto.
  - intros [|[|h]]; unfold kept1, full; lia.
  - intros h [<-|[]]. reflexivity.
  - exact (proj1 Hn).
  - split; simpl; unfold kept1; lia.
Qed.
Example use_program_permutation x e :
  run full [0] (build summed (permute_store reads2 makes2 swap1 over_batch) twice) x (0, 0) e =
  run full [0] (build summed over_batch twice) x (0, 0) e.
Proof.
  destruct over_batch_ok as (_ & HR & _ & HT).
  apply (program_permutation_invariant _ summed reads2 makes2 full swap1 over_batch twice [0] x
           twice_placed swap1_permutes HR HT).
  - intros c H. rewrite (one_channel 0 c eq_refl H). reflexivity.
  - intros c H. rewrite (one_channel 2 c eq_refl H). reflexivity.
  - split; simpl; lia.
Qed.
Example use_program_prefix x e :
  run kept1 [0] (build summed (slice_store reads2 makes2 kept1 over_batch) twice) x (0, 0) e =
  run full [0] (masked kept1 [0] (build summed over_batch twice)) x (0, 0) e.
Proof.
  destruct over_batch_ok as (_ & HR & HZ & HT).
  apply (program_prefix_is_mask _ summed reads2 makes2 full kept1 over_batch twice [0] x twice_placed); auto.
  - intros [|[|h]]; unfold kept1, full; lia.
  - intros h [<-|[]]. reflexivity.
  - split; simpl; unfold kept1; lia.
Qed.

(** The derivative of a gated network with relu, one hidden unit of two kept, along a direction that
    moves only the other one: zero. *)
Example use_gradient x e : (forall i n, snd (x i n) = 0%Z) ->
  let still_at_0 c := match snd c with 0 => (1, 0)%Z | _ => (1, 1)%Z end in
  let A (o i : channel) := still_at_0 (0, snd o + snd i) in
  let N := gated unit A A A still_at_0 still_at_0 still_at_0 relu (fun z => if (0 <? z)%Z then 1 else 0)%Z in
  snd (run full [0] (masked kept1 [0] N) x (0, 0) e) = 0%Z.
Proof.
  intros Hx s A N. assert (H : forall h c, on kept1 [h] c -> snd c = 0).
  { intros h [b i] [_ B]. unfold kept1 in B. simpl in *. lia. }
  apply gated_gradient_is_zero_elsewhere; try solve [intros; unfold A, s; simpl;
    repeat match goal with H' : on kept1 _ _ |- _ => apply H in H'; rewrite H' end; auto].
  - intros [|[|h]]; unfold kept1, full; lia.
  - split; simpl; unfold kept1; lia.
Qed.
