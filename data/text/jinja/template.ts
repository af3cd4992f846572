/**
 * Chat templates as transformers renders them.
 *
 * In: a template's source, and the JSON values of its names. Out: the text that transformers'
 * `render_jinja_template` gives (Jinja2 3.1.6, ImmutableSandboxedEnvironment, trim_blocks,
 * lstrip_blocks, loop controls, the `generation` tag), or an error where it raises one.
 *
 * The whole of Jinja is here rather than a library's with repairs: @huggingface/jinja 0.5.11 has
 * JavaScript's values, its own grammar and its own scopes, so that repairs would never end.
 *
 * @module
 */

import { Budget } from "./budget.ts";
import { compileBody } from "./compile_statement.ts";
import { TemplateLimitError } from "./errors.ts";
import type { Execute, Frame } from "./frame.ts";
import { fromJson, measureJson } from "./from_json.ts";
import { strftimeNow } from "./globals.ts";
import { parseTemplate } from "./parse_template.ts";
import { enterScope, FunctionScope, type Scope } from "./scope.ts";
import { Symbols } from "./symbols.ts";
import { refuseUnsupported } from "./refuse_unsupported.ts";
import type { Value } from "./value.ts";
import { visitSymbols } from "./visit_symbols.ts";

/** Options of {@linkcode Template.render}. */
export interface RenderOptions {
  /** Formats the date of the day, for `strftime_now`. */
  readonly strftime: (format: string) => string;
}

/** A compiled template. */
export class Template {
  readonly #execute: Execute;
  readonly #fn: FunctionScope;

  /**
   * Compiles a template.
   *
   * @throws {TemplateSyntaxError} where Jinja refuses it too
   * @throws {UnsupportedError} where its text could differ from Jinja's
   * @throws {TemplateLimitError} where it nests too deeply
   */
  constructor(source: string) {
    const symbols = new Symbols();
    const fn = new FunctionScope(undefined, 0);
    const scope: Scope = { symbols, fn, soft: false };
    this.#fn = fn;
    this.#execute = withinStack(() => {
      const body = parseTemplate(source);
      refuseUnsupported(body);
      visitSymbols(symbols, body);
      const enter = enterScope(scope);
      const execute = compileBody(body, scope);
      return (frame) => {
        enter(frame);
        return execute(frame);
      };
    });
  }

  /**
   * Renders the template with JSON values; those that are `undefined` count as not given.
   *
   * @throws {PythonError} where Jinja raises an error too
   * @throws {TemplateLimitError} where it takes more than any chat needs
   */
  render(values: Readonly<Record<string, unknown>>, { strftime }: RenderOptions): string {
    return withinStack(() => {
      const budget = new Budget(measureJson(values));
      const context = new Map<string, Value>([["strftime_now", strftimeNow(strftime)]]);
      for (const [name, value] of Object.entries(values)) {
        if (value !== undefined) context.set(name, fromJson(budget, value));
      }
      const slots = new Array<Value | undefined>(this.#fn.size).fill(undefined);
      const frame: Frame = { slots, parent: undefined, budget, context, out: "" };
      this.#execute(frame);
      return frame.out;
    });
  }
}

/** Turns the end of the stack, which deep nesting reaches, into an error that says so. */
function withinStack<T>(run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (error instanceof RangeError && /call stack/.test(error.message)) {
      throw new TemplateLimitError("the template nests too deeply");
    }
    throw error;
  }
}
