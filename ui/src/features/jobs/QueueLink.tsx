import { Link as Anchor } from "@chakra-ui/react";
import { Link } from "react-router-dom";
import { at } from "../../place.ts";

/** A queue, and the way to where it is shown. */
export function QueueLink({ queue }: { queue: string }) {
  return (
    <Anchor asChild variant="underline" overflowWrap="anywhere">
      <Link to={`${at("queues")}?search=${encodeURIComponent(queue)}`}>
        <bdi>{queue}</bdi>
      </Link>
    </Anchor>
  );
}
