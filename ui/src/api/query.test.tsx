import { act, screen, waitFor } from "@testing-library/react";
import { afterEach, expect, test, vi } from "vitest";
import { draw, serve } from "../../build/testing.tsx";
import { ErrorNote } from "../ui/ErrorNote.tsx";
import { Problem } from "./client.ts";
import { EVERY, pace, useLive } from "./query.ts";

afterEach(() => vi.useRealTimers());

function Queues() {
  const { data, error, refetch } = useLive("/queues");
  return (
    <>
      {error && <ErrorNote error={error} retry={refetch} stale={data !== undefined} />}
      {data && <p>{data.total} queues</p>}
    </>
  );
}

test.each([
  [undefined, EVERY],
  [500, EVERY],
  [0, 10_000],
  [401, 30_000],
  [403, 30_000],
  [404, 15_000],
])("after an answer of %s the next look is %d ms later", (status, later) => {
  expect(pace(EVERY, status === undefined ? null : new Problem(status, "", "", ""))).toBe(later);
  expect(pace(60_000, new Problem(0, "", "", ""))).toBe(60_000);
});

test("when the session has ended it is said, asked seldom, and goes on by itself after a log-in elsewhere", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval"], shouldAdvanceTime: true });
  let status = 200;
  const asked = await serve(() => ({ status, body: { items: [], total: 3 } }));
  draw(<Queues />);
  await screen.findByText("3 queues");
  status = 401;
  await act(() => vi.advanceTimersByTimeAsync(EVERY));
  await screen.findByText(/You are logged out/);
  expect(screen.getByRole("button", { name: "Log in again" })).toBeTruthy();
  expect(screen.queryByRole("button", { name: "Try again" })).toBeNull();
  expect(screen.getByText("3 queues")).toBeTruthy();
  const before = asked.length;
  await act(() => vi.advanceTimersByTimeAsync(20_000));
  expect(asked).toHaveLength(before);
  status = 200;
  act(() => window.dispatchEvent(new Event("visibilitychange")));
  await waitFor(() => expect(screen.queryByText(/You are logged out/)).toBeNull());
});
