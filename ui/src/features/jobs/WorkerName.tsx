import { Link as Anchor, Text } from "@chakra-ui/react";
import { Link } from "react-router-dom";
import { at } from "../../place.ts";
import { wasRemoved } from "./job.ts";

/** A worker that a job is or was with, and the way to it. */
export function WorkerName({ worker, none = "none yet" }: { worker: string | null; none?: string }) {
  if (!worker) {
    return (
      <Text as="span" color="fg.muted">
        {none}
      </Text>
    );
  }
  if (wasRemoved(worker)) {
    return (
      <Text as="span" color="fg.muted" title={worker}>
        removed worker
      </Text>
    );
  }
  return (
    <Anchor asChild variant="underline" overflowWrap="anywhere">
      <Link to={at("workers", worker)}>
        <bdi>{worker}</bdi>
      </Link>
    </Anchor>
  );
}
