/**
 * The loss of a batch of pairs, of which the engine knows tokens only.
 *
 * In: a batch whose examples are a chosen reply and a rejected one in turns, and an objective. Out: what each token
 * counts for, and the batch's loss and figures. The loss is TRL's: a mean over the pairs of a batch, and where the
 * chosen texts are learned too, a mean over their tokens.
 */

import type { Batch } from "../data/batches/collator.ts";
import { IGNORED } from "../data/examples/example.ts";
import type { TokenLosses, WeighedLosses } from "../model/engine/training_engine.ts";
import { NLL_FIGURE, type PairObjective } from "./pair_objective.ts";

/** Names of the figures that an objective tells. */
export function figureNames({ figures, chosenNll }: PairObjective): readonly string[] {
  return chosenNll ? [...figures, NLL_FIGURE] : figures;
}

/** The losses of a batch, summed as they come. */
export class PairLosses {
  /** The batch with the targets that the objective needs. */
  readonly batch: Batch;
  /** Sums of the figures, each a mean over the batch once all its pairs came, in the order of their names. */
  readonly figures: Float64Array;
  /** The loss, likewise. */
  loss = 0;
  readonly #replies: Batch;
  readonly #objective: PairObjective;
  readonly #share: number;
  readonly #pairs: number;
  /** Tokens whose cross-entropy is learned. */
  readonly #learned: number;

  /**
   * Nothing has come yet.
   *
   * @param share of the batch in the update; @default 1
   */
  constructor(batch: Batch, objective: PairObjective, share = 1) {
    if (objective.reference && !batch.references) {
      throw new RangeError(
        "Cannot take the loss of pairs: the objective compares them with a reference; give the examples one, as " +
          "referenceLogps computes it",
      );
    }
    this.#replies = batch;
    this.#objective = objective;
    this.#share = share;
    this.#pairs = batch.examples / 2;
    this.batch = objective.chosenNll ? withChosenPrompts(batch) : batch;
    this.figures = new Float64Array(figureNames(objective).length);
    this.#learned = objective.chosenNll
      ? this.batch.targets.reduce(
        (sum, target, token) => sum + Number(target >= 0 && isChosen(batch, token)),
        0,
      )
      : 0;
  }

  /** Takes the losses of whole pairs. */
  readonly weigh = ({ tokens, losses }: TokenLosses): WeighedLosses => {
    const { examples, segmentIds, targets, references } = this.#replies;
    const sums = new Float64Array(examples);
    const counts = new Int32Array(examples);
    let nll = 0;
    tokens.forEach((token, i) => {
      const example = segmentIds[token] - 1;
      if (isChosen(this.#replies, token)) nll += losses[i];
      if (targets[token] < 0) return;
      sums[example] -= losses[i];
      counts[example]++;
    });
    const gradients = new Float64Array(examples);
    const told: number[] = [];
    const { chosenNll, reference, figures } = this.#objective;
    const share = this.#share / this.#pairs;
    for (let chosen = 0; chosen < examples; chosen += 2) {
      const rejected = chosen + 1;
      if (counts[chosen] === 0 && counts[rejected] === 0) continue;
      const reply = (example: number) => ({
        sum: sums[example],
        tokens: counts[example],
        reference: reference ? references![example] : 0,
      });
      const pair = this.#objective.loss(reply(chosen), reply(rejected));
      gradients[chosen] = share * pair.byChosen;
      gradients[rejected] = share * pair.byRejected;
      told.push(share * pair.loss);
      figures.forEach((name, i) => this.figures[i] += pair.figures[name] / this.#pairs);
    }
    const learnedShare = this.#learned > 0 ? this.#share / this.#learned : 0;
    if (chosenNll) {
      told.push(nll * learnedShare);
      this.figures[figures.length] += nll / this.#learned;
    }
    this.loss += told.reduce((sum, each) => sum + each, 0);
    return {
      // A token's loss is the negative of its log-probability.
      factors: Float32Array.from(tokens, (token) => {
        const own = targets[token] < 0 ? 0 : -gradients[segmentIds[token] - 1];
        return isChosen(this.#replies, token) ? own + learnedShare : own;
      }),
      losses: told,
    };
  };
}

function isChosen({ segmentIds }: Batch, token: number): boolean {
  return segmentIds[token] % 2 === 1;
}

/** The same with a target for each token of the chosen texts that has one after it. */
function withChosenPrompts(batch: Batch): Batch {
  const { inputIds, segmentIds } = batch;
  const targets = batch.targets.map((target, token) =>
    isChosen(batch, token) && segmentIds[token + 1] === segmentIds[token]
      ? Number(inputIds[token + 1])
      : target
  );
  const supervised = targets.reduce((sum, target) => sum + Number(target !== IGNORED), 0);
  return { ...batch, targets, supervised };
}
