import { act, screen, waitFor } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { useState } from "react";
import { expect, test } from "vitest";
import { draw } from "../../build/testing.tsx";
import { Search } from "./Filters.tsx";

type Address = { told: string[]; set: (value: string) => void };

function Slow({ address }: { address: Address }) {
  const [value, setValue] = useState("");
  address.set = setValue;
  return <Search label="Search" value={value} onChange={(said) => address.told.push(said)} />;
}

/** An address that takes its time: what it was told stands in it when `arrive` is called. */
function slow() {
  const address: Address = { told: [], set: () => undefined };
  draw(<Slow address={address} />);
  const field = screen.getByLabelText<HTMLInputElement>("Search");
  return { told: address.told, field, arrive: (value: string) => act(() => address.set(value)) };
}

test("its own echo, late, does not overwrite what is being typed", async () => {
  const { told, field, arrive } = slow();
  await userEvent.type(field, "pre");
  await waitFor(() => expect(told).toEqual(["pre"]));
  await userEvent.type(field, "s");
  arrive("pre");
  expect(field.value).toBe("pres");
  await waitFor(() => expect(told).toEqual(["pre", "pres"]));
  await userEvent.type(field, "s");
  arrive("pres");
  expect(field.value).toBe("press");
});

test("blanks around it are typed, not told, and nothing is told twice", async () => {
  const { told, field, arrive } = slow();
  await userEvent.type(field, "press ");
  await waitFor(() => expect(told).toEqual(["press"]));
  arrive("press");
  expect(field.value).toBe("press ");
  await userEvent.type(field, "7");
  await waitFor(() => expect(told).toEqual(["press", "press 7"]));
});

test("what changes it from outside holds, also what stood there before", async () => {
  const { told, field, arrive } = slow();
  await userEvent.type(field, "oven");
  await waitFor(() => expect(told).toEqual(["oven"]));
  arrive("oven");
  arrive("");
  expect(field.value).toBe("");
  arrive("oven");
  expect(field.value).toBe("oven");
});
