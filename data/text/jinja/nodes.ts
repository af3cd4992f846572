/** The syntax tree of a template, as jinja2.nodes has it. */

/** A literal, as it is written: numbers are read by the compiler. */
export interface Const {
  readonly kind: "Const";
  readonly value: string | boolean | null | {
    readonly number: "integer" | "float";
    readonly text: string;
  };
  readonly line: number;
}

/** A name that is read, stored, or stored as a parameter. */
export interface Name {
  readonly kind: "Name";
  readonly name: string;
  ctx: "load" | "store" | "param";
  readonly line: number;
}

/** `ns.attribute` on the left of an assignment. */
export interface NSRef {
  readonly kind: "NSRef";
  readonly name: string;
  readonly attribute: string;
  readonly line: number;
}

/** Arguments of a call, a filter or a test. */
export interface CallArguments {
  readonly args: readonly Expression[];
  readonly kwargs: readonly { readonly key: string; readonly value: Expression }[];
  readonly dynArgs?: Expression;
  readonly dynKwargs?: Expression;
}

/** `+` and its like, `and` and `or`. */
export type BinaryOperator =
  | "add"
  | "sub"
  | "mul"
  | "div"
  | "floordiv"
  | "mod"
  | "pow"
  | "and"
  | "or";
/** `not`, `-`, `+`. */
export type UnaryOperator = "not" | "neg" | "pos";
/** Comparisons, which can be chained. */
export type CompareOperator = "eq" | "ne" | "lt" | "lteq" | "gt" | "gteq" | "in" | "notin";

interface At {
  readonly line: number;
}

/** Any expression. */
export type Expression =
  | Const
  | Name
  | NSRef
  | (At & { readonly kind: "Tuple"; readonly items: readonly Expression[] })
  | (At & { readonly kind: "List"; readonly items: readonly Expression[] })
  | (At & {
    readonly kind: "Dict";
    readonly items: readonly { readonly key: Expression; readonly value: Expression }[];
  })
  | (At & {
    readonly kind: "Binary";
    readonly operator: BinaryOperator;
    readonly left: Expression;
    readonly right: Expression;
  })
  | (At & { readonly kind: "Unary"; readonly operator: UnaryOperator; readonly node: Expression })
  | (At & { readonly kind: "Concat"; readonly nodes: readonly Expression[] })
  | (At & {
    readonly kind: "Compare";
    readonly left: Expression;
    readonly ops: readonly { readonly operator: CompareOperator; readonly right: Expression }[];
  })
  | (At & {
    readonly kind: "CondExpr";
    readonly test: Expression;
    readonly then: Expression;
    readonly otherwise?: Expression;
  })
  | (At & { readonly kind: "Getattr"; readonly node: Expression; readonly name: string })
  | (At & { readonly kind: "Getitem"; readonly node: Expression; readonly key: Expression })
  | Slice
  | Call
  | Filter
  | (At & CallArguments & {
    readonly kind: "Test";
    readonly node: Expression;
    readonly name: string;
  });

/** `start:stop:step` between brackets. */
export interface Slice extends At {
  readonly kind: "Slice";
  readonly start?: Expression;
  readonly stop?: Expression;
  readonly step?: Expression;
}

/** A call. */
export interface Call extends At, CallArguments {
  readonly kind: "Call";
  readonly node: Expression;
}

/** A filter; without a node it filters the body of a block. */
export interface Filter extends At, CallArguments {
  readonly kind: "Filter";
  readonly node?: Expression;
  readonly name: string;
}

/** Parameters of a macro or of a call block. */
export interface Signature {
  readonly params: readonly Name[];
  /** Of the last parameters. */
  readonly defaults: readonly Expression[];
}

/** A macro. */
export interface Macro extends At, Signature {
  readonly kind: "Macro";
  readonly name: string;
  readonly body: readonly Statement[];
}

/** A call with a body, which the called macro gets as `caller`. */
export interface CallBlock extends At, Signature {
  readonly kind: "CallBlock";
  /** `undefined` for `{% generation %}`, which prints its body. */
  readonly call?: Call;
  readonly body: readonly Statement[];
}

/** A loop. */
export interface For extends At {
  readonly kind: "For";
  readonly target: Expression;
  readonly iter: Expression;
  readonly test?: Expression;
  readonly recursive: boolean;
  readonly body: readonly Statement[];
  readonly otherwise: readonly Statement[];
}

/** A branch; `elif` holds branches without parts of their own. */
export interface If extends At {
  readonly kind: "If";
  readonly test: Expression;
  readonly body: readonly Statement[];
  readonly elif: readonly If[];
  readonly otherwise: readonly Statement[];
}

/** Any statement. */
export type Statement =
  | (At & { readonly kind: "Output"; readonly nodes: readonly (Expression | TemplateData)[] })
  | For
  | If
  | Macro
  | CallBlock
  | (At & { readonly kind: "Assign"; readonly target: Expression; readonly node: Expression })
  | (At & {
    readonly kind: "AssignBlock";
    readonly target: Expression;
    readonly filter?: Filter;
    readonly body: readonly Statement[];
  })
  | (At & {
    readonly kind: "FilterBlock";
    readonly filter: Filter;
    readonly body: readonly Statement[];
  })
  | (At & {
    readonly kind: "With";
    readonly targets: readonly Expression[];
    readonly values: readonly Expression[];
    readonly body: readonly Statement[];
  })
  | (At & { readonly kind: "Break" | "Continue" });

/** Text between tags. */
export interface TemplateData extends At {
  readonly kind: "TemplateData";
  readonly text: string;
}
