/** What the API says of queues, jobs and enrolment, by the names that the views use. */
import type { Schemas } from "../api/client.ts";

export type Queue = Schemas["QueueDocument"];
export type Job = Schemas["JobDocument"];
export type JobWithJourney = Schemas["OneJobDocument"];
export type Step = Schemas["StepDocument"];
export type NewToken = Schemas["NewTokenDocument"];
export type Token = Schemas["TokenDocument"];
export type Attempt = Schemas["EnrollAttemptDocument"];
export type Finding = Schemas["CheckFindingDocument"];
