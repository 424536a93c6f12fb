/** What stands in the place of a view that failed. */
import { Box, Button, Code, Heading, Text } from "@chakra-ui/react";
import { Component, type ErrorInfo, type ReactNode } from "react";

type Props = { children: ReactNode };

export class Boundary extends Component<Props, { error?: Error }> {
  override state: { error?: Error } = {};

  static getDerivedStateFromError(error: Error) {
    return { error };
  }

  override componentDidCatch(error: Error, info: ErrorInfo) {
    console.error("A view of edge workers failed", error, info.componentStack);
  }

  override render() {
    const { error } = this.state;
    if (!error) return this.props.children;
    return (
      <Box role="alert" maxW="48rem" py={6}>
        <Heading as="h2" size="md" mb={2}>
          This view could not be drawn
        </Heading>
        <Text mb={3}>
          That is a fault of airflow-edge. The workers are not touched by it, and <Code>airflow edge list-workers</Code>{" "}
          shows them all the same. Please report it with these words:
        </Text>
        <Code display="block" whiteSpace="pre-wrap" p={3} mb={4}>
          {String(error)}
        </Code>
        <Button size="sm" variant="outline" onClick={() => this.setState({ error: undefined as never })}>
          Try again
        </Button>
      </Box>
    );
  }
}
