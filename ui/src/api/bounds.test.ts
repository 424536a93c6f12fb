import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { BOUNDS } from "./bounds.ts";

type Bounds = { minimum?: number; maximum?: number; maxLength?: number };
type Field = Bounds & { anyOf?: Bounds[] };

const document = JSON.parse(readFileSync("../docs/reference/rest-api-openapi.json", "utf8"));

function bounds(schema: string, field: string): Bounds {
  const found: Field = document.components.schemas[schema].properties[field];
  return found.anyOf?.find(({ maximum }) => maximum !== undefined) ?? found;
}

test.each([
  ["WithToken", "uses", BOUNDS.uses],
  ["WithToken", "max_slots", BOUNDS.slots],
  ["WithConcurrency", "concurrency", BOUNDS.slots],
])("%s.%s is bound as the API's document says", (schema, field, { min, max }) => {
  expect(bounds(schema, field)).toMatchObject({ minimum: min, maximum: max });
});

test("a policy is as long as the API's document says", () => {
  expect(bounds("WithPolicy", "text").maxLength).toBe(BOUNDS.policy);
});
