import { screen, waitFor } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { expect, onTestFinished, test, vi } from "vitest";
import { draw, serve } from "../../build/testing.tsx";
import { api, Problem } from "../api/client.ts";
import { ConfirmDialog } from "./ConfirmDialog.tsx";
import { grouped } from "./Outcomes.tsx";

const asked = { title: "Take press-7 into maintenance", confirm: "Start maintenance" };

test("what it touches is shown before, what came of it after", async () => {
  const act = vi.fn(async () => [{ worker: "press-7", result: "done", detail: "" }]);
  const onDone = vi.fn();
  draw(
    <ConfirmDialog
      {...asked}
      onClose={vi.fn()}
      onDone={onDone}
      act={act}
      fields={[{ name: "comment", kind: "comment", label: "Comment", required: true }]}
      preview={async () => [{ worker: "press-7", result: "would", detail: "3 tasks go on" }]}
    >
      They take no new job.
    </ConfirmDialog>,
  );
  await screen.findByText(/3 tasks go on/);
  const confirm = screen.getByRole<HTMLButtonElement>("button", { name: "Start maintenance" });
  expect(confirm.disabled).toBe(true);
  await userEvent.type(screen.getByLabelText(/Comment/), "new motor");
  await userEvent.click(confirm);
  await screen.findByText(/done/);
  expect(act).toHaveBeenCalledWith({ comment: "new motor" });
  expect(onDone).toHaveBeenCalledOnce();
  expect(screen.queryByRole("button", { name: "Start maintenance" })).toBeNull();
});

test("what is refused is said, and can be tried again", async () => {
  const onClose = vi.fn();
  const act = vi
    .fn()
    .mockRejectedValueOnce(new Problem(403, "forbidden", "Forbidden", "You need x."))
    .mockResolvedValue(undefined);
  draw(<ConfirmDialog {...asked} danger onClose={onClose} act={act} />);
  await userEvent.click(await screen.findByRole("button", { name: "Start maintenance" }));
  await screen.findByText("You need x.");
  expect(onClose).not.toHaveBeenCalled();
  await userEvent.click(screen.getByRole("button", { name: "Start maintenance" }));
  await waitFor(() => expect(onClose).toHaveBeenCalledOnce());
});

test("what it touches must be known: without an answer nothing is confirmed, and it can be asked again", async () => {
  const preview = vi
    .fn()
    .mockRejectedValueOnce(new Problem(503, "unavailable", "Unavailable", "The database is busy."))
    .mockResolvedValue([{ worker: "press-7", result: "would", detail: "3 tasks go on" }]);
  const act = vi.fn();
  draw(<ConfirmDialog {...asked} onClose={vi.fn()} act={act} preview={preview} />);
  await screen.findByText("The database is busy.");
  const confirm = screen.getByRole<HTMLButtonElement>("button", { name: "Start maintenance" });
  expect(confirm.disabled).toBe(true);
  await userEvent.click(screen.getByRole("button", { name: "Try again" }));
  await screen.findByText(/3 tasks go on/);
  expect(confirm.disabled).toBe(false);
  expect(act).not.toHaveBeenCalled();
});

test("what is refused for now can be done once it is not refused any more", async () => {
  const results = ["refused", "would"];
  const preview = async () => [{ worker: "press-7", result: results.shift() ?? "would", detail: "" }];
  draw(<ConfirmDialog {...asked} onClose={vi.fn()} act={vi.fn()} preview={preview} />);
  await screen.findByText(/refused/);
  const confirm = screen.getByRole<HTMLButtonElement>("button", { name: "Start maintenance" });
  expect(confirm.disabled).toBe(true);
  await waitFor(() => expect(confirm.disabled).toBe(false), { timeout: 20_000 });
});

test("a preview whose answer never comes ends in words", async () => {
  const patience = api.patience;
  onTestFinished(() => {
    api.patience = patience;
  });
  api.patience = { read: 100, change: 100 };
  await serve(() => "never");
  const preview = () => api.post("/workers/maintenance", { workers: ["press-7"], comment: "" });
  draw(<ConfirmDialog {...asked} onClose={vi.fn()} act={vi.fn()} preview={preview} />);
  await screen.findByText(/has not answered within/);
  expect(screen.getByRole("button", { name: "Try again" })).toBeTruthy();
});

test("an order that waits for its worker is followed to its end", async () => {
  const answers = ["waiting", "done"];
  await serve(() => ({
    body: { worker: "press-7", result: answers.length > 1 ? answers.shift() : "done", detail: "", order_id: "1" },
  }));
  draw(
    <ConfirmDialog
      {...asked}
      onClose={vi.fn()}
      act={async () => [{ worker: "press-7", result: "waiting", detail: "asked", order_id: "1" }]}
    />,
  );
  await userEvent.click(await screen.findByRole("button", { name: "Start maintenance" }));
  await screen.findByText(/waiting/);
  await screen.findByText(/done/, {}, { timeout: 5000 });
});

test("many with the same end are told together, refusals first", () => {
  const would = Array.from({ length: 12 }, (_, at) => ({
    worker: `w-${at}`,
    result: "would",
    detail: "2 tasks go on",
  }));
  const groups = grouped([...would, { worker: "old", result: "refused", detail: "it is revoked" }]);
  expect(groups.map((group) => group.length)).toEqual([1, 12]);
});
