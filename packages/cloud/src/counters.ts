/** What was counted since the start; read by /metrics. Plain numbers, so that counting costs nothing where it happens thousands of times a second. */
export class Counters {
  heartbeats = 0;
  eventsStored = 0;
  /** Events that came again and were there already. */
  eventsRepeated = 0;
  eventsRejected = 0;
}
