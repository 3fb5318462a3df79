import { Analytics } from "@segment/analytics-node";

const analytics = new Analytics({ writeKey: "write-key", maxRetries: 0 });
analytics.on("error", (error) => {
  const status = /^\[(\d+)\]/.exec(error.reason?.message);
  if (status) {
    console.log("reached", status[1], error.reason.message);
  } else {
    console.error(error.reason);
    process.exitCode = 1;
  }
});
analytics.track({ userId: "customer-1", event: process.argv[2] }, (error) => {
  if (!error) console.log("reached 200");
});
await analytics.closeAndFlush();
