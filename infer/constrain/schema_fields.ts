/** Keywords of JSON schemas. Out: those that replies are held to, that say nothing, or are refused. */

import { FieldTable, type UnsupportedField } from "../../internal/json/field_table.ts";

const remedy = "replies cannot be held to it; leave it out, or check it in the reply";
const REFUSED = [
  ...["pattern", "format", "contentEncoding", "contentMediaType", "contentSchema"],
  ...["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"],
  ...["prefixItems", "additionalItems", "unevaluatedItems", "contains", "minContains"],
  ...["maxContains", "uniqueItems", "patternProperties", "propertyNames", "minProperties"],
  ...["maxProperties", "unevaluatedProperties", "dependentRequired", "dependentSchemas"],
  ...["dependencies", "oneOf", "allOf", "not", "if", "then", "else", "nullable"],
  ...["$dynamicRef", "$dynamicAnchor", "$anchor", "$recursiveRef", "$vocabulary"],
];
const OFF = new Set(["uniqueItems", "nullable"]);

/** Keywords of a schema. */
export const SCHEMA_FIELDS: FieldTable = new FieldTable({
  honoured: [
    ...["type", "properties", "required", "additionalProperties", "items", "enum", "const"],
    ...["anyOf", "minItems", "maxItems", "minLength", "maxLength", "$ref", "$defs", "definitions"],
  ],
  ignored: [
    ...["title", "description", "default", "example", "examples", "deprecated", "readOnly"],
    ...["writeOnly", "$schema", "$id", "$comment"],
  ],
  refused: Object.fromEntries(REFUSED.map((name): [string, UnsupportedField] => [
    name,
    { remedy, ...(OFF.has(name) ? { unless: [false] } : {}) },
  ])),
});
