/**
 * What can go wrong with a template: it cannot be parsed, Python would raise, this engine has no
 * exact counterpart, or a limit is reached.
 */

/** A template that Jinja refuses to compile, with the line. */
export class TemplateSyntaxError extends SyntaxError {
  override readonly name = "TemplateSyntaxError";
  readonly reason: string;
  readonly line: number;

  /** Takes the reason and the line, counted from 1. */
  constructor(reason: string, line: number) {
    super(`line ${line}: ${reason}`);
    this.reason = reason;
    this.line = line;
  }
}

/**
 * A construct that Jinja knows and that is not rendered here, as the result could differ from
 * Python's.
 */
export class UnsupportedError extends Error {
  override readonly name = "UnsupportedError";
}

/** A limit that a template would exceed. */
export class TemplateLimitError extends RangeError {
  override readonly name = "TemplateLimitError";
}

/** Kinds of errors that Python and Jinja tell apart where a template can notice. */
export type PythonErrorKind =
  | "AttributeError"
  | "FilterArgumentError"
  | "IndexError"
  | "KeyError"
  | "OverflowError"
  | "RuntimeError"
  | "SecurityError"
  | "TemplateError"
  | "TemplateRuntimeError"
  | "TypeError"
  | "UndefinedError"
  | "ValueError"
  | "ZeroDivisionError";

/** An error that Python would raise at this point. */
export class PythonError extends Error {
  override readonly name = "PythonError";
  readonly kind: PythonErrorKind;

  /** Takes the kind and the message. */
  constructor(kind: PythonErrorKind, message: string) {
    super(message);
    this.kind = kind;
  }
}

/** Throws a TypeError of Python's. */
export function typeError(message: string): never {
  throw new PythonError("TypeError", message);
}

/** Throws a ValueError of Python's. */
export function valueError(message: string): never {
  throw new PythonError("ValueError", message);
}
