/** A client of DynamoDB that the application made: its region, its credentials and its connections, but our deadlines. */
import type { DynamoDB } from "@aws-sdk/client-dynamodb";
import type { DynamodbClient } from "./given-client.js";

/** What is done around each request of a command. */
type AddTo = (command: Pick<DynamoDB, "middlewareStack">) => void;

/**
 * A client over one that was given. What is ours is put around each command, so that nothing of ours stays on theirs.
 *
 * A try that is late must do no harm, and it is ours to know how many there were: so a command is tried again by us alone.
 */
export function over(given: DynamodbClient, { prototype }: typeof DynamoDB, addTo: AddTo): DynamoDB {
  const send = (command: Pick<DynamoDB, "middlewareStack">, { abortSignal }: { readonly abortSignal: AbortSignal }) => {
    command.middlewareStack.add((next) => next, {
      name: "retryMiddleware",
      step: "finalizeRequest",
      priority: "high",
      override: true,
    });
    addTo(command);
    // Without a time for each request: where the client does not make that an error, it is a line on the console.
    return Reflect.apply(given.send, given, [command, { abortSignal }]);
  };
  return Object.create(prototype, { send: { value: send }, config: { value: given.config } });
}
