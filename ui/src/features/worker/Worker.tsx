/** Placeholder: one worker. */
import { Heading } from "@chakra-ui/react";
import { useParams } from "react-router-dom";

export function Worker() {
  const { name } = useParams();
  return (
    <Heading as="h2" size="lg">
      {name}
    </Heading>
  );
}
