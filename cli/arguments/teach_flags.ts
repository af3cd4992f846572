/** Flags of what is learned of rows, for training and for a look at data. In: nothing. Out: options. */

import { Option } from "commander";
import { ARGUMENT_CHOICES as CHOICES } from "../../train/runs/argument_rules.ts";

/** `--teach`. */
export function teachFlag(): Option {
  return new Option(
    "--teach <replies>",
    "which replies of a chat are learned: all but those that their row marks as not learned, the last of " +
      "these, or only those that it marks as learned",
  ).choices(CHOICES.teach).default("all");
}

/** `--truncation`. */
export function truncationFlag(): Option {
  return new Option(
    "--truncation <way>",
    "of an example that is longer: cut off its end (right), leave out its oldest turns and if need be its " +
      "beginning (left), leave it out (drop), or stop (error)",
  ).choices(CHOICES.truncation).default("right");
}

/** `--empty-think`. */
export function emptyThinkFlag(): Option {
  return new Option(
    "--empty-think <way>",
    "the empty thinking block of replies without thinking: teach it, put it into the prompt as inference " +
      "without thinking does, or omit it",
  ).choices(CHOICES.emptyThink).default("teach");
}

/** `--chat-template`. */
export function chatTemplateFlag(): Option {
  return new Option(
    "--chat-template <path>",
    "Jinja file of a chat template in place of the model's; checkpoints keep it",
  );
}
