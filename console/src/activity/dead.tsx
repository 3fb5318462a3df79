// Jobs that failed for good, and trying them again.

import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { Button } from "react-aria-components";
import { type Answer, own } from "../api";
import { At, Code, Empty, Inert, Panel, Problem } from "../ui";

export function DeadLetters() {
  const client = useQueryClient();
  const [error, setError] = useState<unknown>(null);
  const jobs = useQuery({
    queryKey: ["dead-jobs"],
    queryFn: () => own<Answer<"/dead-jobs">>("/dead-jobs"),
    refetchInterval: 5000,
  });
  const dead = jobs.data?.dead_jobs ?? [];
  const replay = async (ids: string[]) => {
    try {
      for (const id of ids) {
        await own(`/dead-jobs/${encodeURIComponent(id)}/replay`, "POST");
      }
      setError(null);
    } catch (failure) {
      setError(failure);
    }
    await client.invalidateQueries({ queryKey: ["dead-jobs"] });
  };
  const all =
    dead.length > 1 ? (
      <Button onPress={() => replay(dead.map(({ id }) => id))}>Replay all {dead.length}</Button>
    ) : null;
  return (
    <Panel title="Dead letters" aside={all}>
      <Problem error={error ?? jobs.error} />
      <ul className="cards">
        {dead.map((job) => (
          <li key={job.id}>
            <div className="row">
              <b>{job.queue}</b>
              <small>
                <At time={job.died_at} today="" /> after {job.attempt} attempts
              </small>
              <Button onPress={() => replay([job.id])}>Replay</Button>
            </div>
            <p className="bad">
              <Inert text={job.last_error ?? "No reason was given"} />
            </p>
            <details>
              <summary>
                <code>{job.id}</code>
              </summary>
              <Code text={JSON.stringify(job.payload, null, 2)} />
            </details>
          </li>
        ))}
      </ul>
      {jobs.isSuccess && dead.length === 0 ? (
        <Empty>
          <p>Nothing has failed for good.</p>
          <p className="hint">
            What fails is tried eight times, further and further apart; then it waits here. A
            webhook that answers badly is in Activity under its message.
          </p>
        </Empty>
      ) : null}
    </Panel>
  );
}
