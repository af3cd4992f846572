/**
 * A chat template as Ollama's, which is one of Go's text/template and not Jinja.
 *
 * In: a tokenizer with a Jinja template. Out: what stands around messages of each role, as a Go template that
 * writes the same chats; found by rendering chats, and checked by rendering others.
 *
 * https://github.com/ollama/ollama/blob/main/docs/template.md
 *
 * @module
 */

import type { Message } from "../../data/text/message.ts";
import type { Tokenizer } from "../../data/text/tokenizer.ts";

/** What stands around the messages of a role. */
interface Around {
  readonly before: string;
  readonly after: string;
}

/** A template that is no more than texts around messages. */
interface TurnTemplate {
  /** Whether a system prompt stands in the first question, and then `after` stands between the two. */
  readonly systemInside: boolean;
  readonly system: Around;
  readonly user: Around;
  readonly assistant: Around;
  /** Where a reply begins. */
  readonly reply: string;
}

/** What is found of a template. */
export interface GoTemplate {
  /** The template. */
  readonly text: string;
  /** A system prompt that the template writes where none is given. @default none */
  readonly system?: string;
}

const [SYSTEM, ASKED, REPLIED, ASKED_AGAIN] = ["Sy5tem", "Que5tion", "An5wer", "Que5tion2"];
const system = (content = SYSTEM): Message => ({ role: "system", content });
const user = (content = ASKED): Message => ({ role: "user", content });
const assistant = (content = REPLIED): Message => ({ role: "assistant", content });

/** The template; undefined where the chats are more than texts around messages. */
export function goTemplate(
  tokenizer: Tokenizer,
  { enableThinking }: { readonly enableThinking?: boolean } = {},
): GoTemplate | undefined {
  const { bosTokenId } = tokenizer;
  const bos = bosTokenId === undefined ? "" : tokenizer.idToToken(bosTokenId) ?? "";
  const render = (messages: readonly Message[], addGenerationPrompt = false): string => {
    const text = tokenizer.render(messages, { addGenerationPrompt, enableThinking });
    // Ollama writes it by itself, as the file says.
    return bos !== "" && text.startsWith(bos) ? text.slice(bos.length) : text;
  };
  try {
    const found = findTurns(render);
    if (!found) return undefined;
    const { turns, given } = found;
    const chats: readonly (readonly Message[])[] = [
      [user("a b"), assistant("c"), user("d")],
      [system("e\nf"), user("g")],
      [system("h"), user("i"), assistant("j"), user("k"), assistant("l"), user("m")],
    ];
    const agrees = chats.every((chat) => {
      const filled = given === undefined || chat[0].role === "system"
        ? chat
        : [system(given), ...chat];
      return render(chat, true) === writeTurns(turns, filled);
    });
    if (!agrees) return undefined;
    return { text: formatGo(turns), ...given === undefined ? {} : { system: given } };
  } catch {
    // A template may refuse a chat, such as one with a system prompt.
    return undefined;
  }
}

type Render = (messages: readonly Message[], addGenerationPrompt?: boolean) => string;

/** What stands around messages, and the system prompt that stands where none is given. */
function findTurns(
  render: Render,
): { readonly turns: TurnTemplate; readonly given?: string } | undefined {
  const asked = render([user()]);
  const reply = without(render([user()], true), asked);
  const afterUser = asked.slice(asked.indexOf(ASKED) + ASKED.length);
  const replied = render([user(), assistant()]);
  const afterAssistant = replied.slice(replied.indexOf(REPLIED) + REPLIED.length);
  const again = render([user(), assistant(), user(ASKED_AGAIN)]);
  const turn = between(again, ASKED, REPLIED);
  const next = between(again, REPLIED, ASKED_AGAIN);
  const beforeAssistant = without(turn, afterUser);
  const beforeUser = without(next, afterAssistant);
  const prompted = render([system(), user()]);
  const beforeSystem = prompted.slice(0, prompted.indexOf(SYSTEM));
  const joint = between(prompted, SYSTEM, ASKED);
  const parts = [reply, beforeAssistant, beforeUser, joint];
  if (!parts.every((each) => each !== undefined)) return undefined;
  const systemInside = beforeSystem === beforeUser && !joint!.endsWith(beforeUser!);
  const afterSystem = systemInside ? joint! : joint!.slice(0, joint!.length - beforeUser!.length);
  const turns: TurnTemplate = {
    systemInside,
    system: { before: beforeSystem, after: afterSystem },
    user: { before: beforeUser!, after: afterUser },
    assistant: { before: beforeAssistant!, after: afterAssistant },
    reply: reply!,
  };
  const head = asked.slice(0, asked.indexOf(ASKED));
  if (head === beforeUser) return { turns };
  // A system prompt of the template's own.
  const given = head.slice(
    beforeSystem.length,
    head.length - beforeUser!.length - afterSystem.length,
  );
  return head === beforeSystem + given + afterSystem + beforeUser ? { turns, given } : undefined;
}

function without(text: string | undefined, beginning: string): string | undefined {
  return text?.startsWith(beginning) ? text.slice(beginning.length) : undefined;
}

function between(text: string, first: string, second: string): string | undefined {
  const [start, end] = [text.indexOf(first) + first.length, text.indexOf(second)];
  return end < start ? undefined : text.slice(start, end);
}

/** What the Go template writes of a chat. */
function writeTurns(turns: TurnTemplate, messages: readonly Message[]): string {
  const texts = messages.map(({ role, content }, i) => {
    const { before, after } = turns[role as "system" | "user" | "assistant"];
    const inside = turns.systemInside && i === 1 && messages[0].role === "system";
    return (inside ? "" : before) + content + after;
  });
  return texts.join("") + turns.reply;
}

function formatGo({ systemInside, system, user, assistant, reply }: TurnTemplate): string {
  const open = systemInside
    ? `{{ if not (and (eq $i 1) (eq (index $.Messages 0).Role "system")) }}${
      literal(user.before)
    }{{ end }}`
    : literal(user.before);
  const content = "{{ .Content }}";
  return "{{ range $i, $m := .Messages }}" +
    `{{ if eq .Role "system" }}${literal(system.before)}${content}${literal(system.after)}` +
    `{{ else if eq .Role "user" }}${open}${content}${literal(user.after)}` +
    `{{ else if eq .Role "assistant" }}${literal(assistant.before)}${content}${
      literal(assistant.after)
    }` +
    `{{ end }}{{ end }}${literal(reply)}`;
}

/** A text that Go shall write as it stands. */
function literal(text: string): string {
  return text.replaceAll("{{", '{{ "{{" }}');
}
