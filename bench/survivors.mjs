// How many bytes outlive a scavenge. What makes the slowest requests slow is scavenges that copy much, and this figure hardly
// moves between a quiet machine and a busy one.
import { GCProfiler } from "node:v8";

/** Counts from now on; the answer is called for the sum so far. */
export function countSurvivors() {
  let sum = 0;
  let profiler = started();
  return () => {
    for (const { gcType, beforeGC, afterGC } of profiler.stop().statistics) {
      // Copied within the young generation, and promoted to the old one.
      if (gcType === "Scavenge")
        sum += used(afterGC, "new_space") + used(afterGC, "old_space") - used(beforeGC, "old_space");
    }
    profiler = started();
    return sum;
  };
}

function started() {
  const profiler = new GCProfiler();
  profiler.start();
  return profiler;
}

function used({ heapSpaceStatistics }, name) {
  return heapSpaceStatistics.find(({ spaceName }) => spaceName === name).spaceUsedSize;
}
