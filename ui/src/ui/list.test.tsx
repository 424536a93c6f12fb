import { Table } from "@chakra-ui/react";
import { screen, waitFor } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { useLocation } from "react-router-dom";
import { expect, test } from "vitest";
import { draw } from "../../build/testing.tsx";
import { Pager, SortHeader } from "./DataTable.tsx";
import { Search } from "./Filters.tsx";
import { useList } from "./list.ts";

function Workers() {
  const list = useList({ order: "name", limit: 10 });
  return (
    <>
      <output>{useLocation().search}</output>
      <Search label="Search workers" value={list.get("search")} onChange={(search) => list.set({ search })} />
      <Table.Root>
        <Table.Header>
          <Table.Row>
            <SortHeader by="name" list={list}>
              Name
            </SortHeader>
            <SortHeader by="cpu" descending list={list}>
              CPU
            </SortHeader>
          </Table.Row>
        </Table.Header>
      </Table.Root>
      <Pager list={list} total={25} what="workers" />
    </>
  );
}

const address = () => screen.getAllByRole("status").find(({ tagName }) => tagName === "OUTPUT")?.textContent;

test("pages, order and filters stand in the address", async () => {
  draw(<Workers />);
  expect(screen.getByText("1–10 of 25 workers")).toBeTruthy();
  await userEvent.click(screen.getByRole("button", { name: "Next" }));
  expect(screen.getByText("11–20 of 25 workers")).toBeTruthy();
  expect(address()).toBe("?page=2");

  await userEvent.click(screen.getByRole("button", { name: /CPU/ }));
  expect(address()).toBe("?order=-cpu");
  expect(screen.getByRole("columnheader", { name: /CPU/ }).getAttribute("aria-sort")).toBe("descending");

  await userEvent.type(screen.getByLabelText("Search workers"), "press");
  await waitFor(() => expect(address()).toBe("?order=-cpu&search=press"));
  await userEvent.clear(screen.getByLabelText("Search workers"));
  await waitFor(() => expect(address()).toBe("?order=-cpu"));
});

test("the last page goes no further", () => {
  draw(<Workers />, { at: "/?page=3" });
  expect(screen.getByText("21–25 of 25 workers")).toBeTruthy();
  expect(screen.getByRole<HTMLButtonElement>("button", { name: "Next" }).disabled).toBe(true);
});
