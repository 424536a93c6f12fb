/** What the API says of the fleet and of its workers, by the names that the views use. */
import type { Schemas } from "../../api/client.ts";

export type Overview = Schemas["OverviewDocument"];
export type FleetAttention = Schemas["AttentionDocument"];
export type Action = Schemas["RemedyDocument"];
export type WorkerDocument = Schemas["WorkerDocument"];
export type WholeWorker = Schemas["OneWorkerDocument"];
export type HeldTask = Schemas["TaskAtWorkerDocument"];
export type Link = WorkerDocument["link"];
export type Stance = WorkerDocument["stance"];
export type Load = WorkerDocument["load"];
export type Severity = FleetAttention["severity"];
