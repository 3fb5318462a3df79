// Who may sign in, for owners.

import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { Button, Form, Input, Label, TextField } from "react-aria-components";
import { type Answer, own } from "./api";
import { At, Empty, Inert, Panel, Problem } from "./ui";

const ROLES = ["owner", "developer", "support", "billing", "auditor"];

const at = (name: string) => `/users/${encodeURIComponent(name)}`;

export function Users() {
  const client = useQueryClient();
  const [error, setError] = useState<unknown>(null);
  const users = useQuery({
    queryKey: ["users"],
    queryFn: () => own<Answer<"/users">>("/users"),
  });
  const act = async (what: () => Promise<unknown>) => {
    try {
      await what();
      setError(null);
      await client.invalidateQueries({ queryKey: ["users"] });
      return true;
    } catch (failure) {
      setError(failure);
      return false;
    }
  };
  const all = users.data?.users ?? [];
  return (
    <Panel title="Users">
      <p className="hint">They sign in where this instance is not on loopback.</p>
      <Problem error={error ?? users.error} />
      {all.length > 0 ? (
        <table>
          <thead>
            <tr>
              <th>Name</th>
              <th>Role</th>
              <th>Since</th>
              <th>
                <span className="unseen">Remove</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {all.map(({ name, role, date_created }) => (
              <tr key={name}>
                <td>
                  <Inert text={name} />
                </td>
                <td>
                  <select
                    aria-label={`Role of ${name}`}
                    value={role}
                    onChange={(event) =>
                      void act(() => own(at(name), "PUT", { role: event.target.value }))
                    }
                  >
                    {ROLES.map((one) => (
                      <option key={one}>{one}</option>
                    ))}
                  </select>
                </td>
                <td>
                  <At time={date_created} today="" />
                </td>
                <td>
                  <Button
                    className="quiet danger"
                    aria-label={`Remove ${name}`}
                    onPress={() => void act(() => own(at(name), "DELETE"))}
                  >
                    Remove
                  </Button>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      ) : null}
      {users.isSuccess && all.length === 0 ? <Empty>No user yet.</Empty> : null}
      <NewUser add={(user) => act(() => own("/users", "POST", user))} />
    </Panel>
  );
}

function NewUser({ add }: { add: (user: object) => Promise<boolean> }) {
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const [role, setRole] = useState("developer");
  return (
    <details className="create">
      <summary>Add a user</summary>
      <Form
        className="row wrap"
        onSubmit={async (event) => {
          event.preventDefault();
          if (!(await add({ name: name.trim(), role, password }))) return;
          setName("");
          setPassword("");
        }}
      >
        <TextField value={name} onChange={setName} isRequired autoComplete="off">
          <Label>Name</Label> <Input />
        </TextField>
        <TextField
          value={password}
          onChange={setPassword}
          isRequired
          type="password"
          autoComplete="new-password"
        >
          <Label>Password</Label> <Input />
        </TextField>
        <select aria-label="Role" value={role} onChange={(event) => setRole(event.target.value)}>
          {ROLES.map((one) => (
            <option key={one}>{one}</option>
          ))}
        </select>
        <Button type="submit">Add</Button>
      </Form>
    </details>
  );
}
