/**
 * A row of log_history in trainer_state.json, as Hugging Face Trainer writes it; with more figures of pairs, as TRL
 * names them, and of generated replies.
 */
export type LogRow =
  & (
    | {
      readonly epoch: number;
      readonly grad_norm: number | "NaN";
      readonly learning_rate: number;
      readonly loss: number | "NaN";
      readonly step: number;
    }
    | {
      readonly epoch: number;
      readonly eval_loss: number | "NaN";
      readonly eval_token_loss: number | "NaN";
      readonly step: number;
    }
  )
  & { readonly [figure: string]: number | "NaN" };
