// The README's tour by a generated client: register, log in, write a post, read it twice, run a task to its result.
import createClient from "openapi-fetch";
import type { paths } from "./schema.js";

function required<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new Error(`${what} failed`);
  return value;
}

const baseUrl = required(process.argv[2], "reading the base URL");
const anyone = createClient<paths>({ baseUrl });
const api = createClient<paths>({ baseUrl });

const user = await api.POST("/api/v1/user", {
  body: { name: "Ada Lovelace", username: "ada", email: "ada@example.com", password: "Str1ngst!" },
});
console.log("user", required(user.data, "registration").username);

const login = await api.POST("/api/v1/login", { body: { username: "ada", password: "Str1ngst!" } });
const token = required(login.data, "login").access_token;
api.use({
  onRequest({ request }) {
    request.headers.set("Authorization", `Bearer ${token}`);
    return request;
  },
});

const post = await api.POST("/api/v1/{username}/post", {
  params: { path: { username: "ada" } },
  body: { title: "Hello", text: "World" },
});
const id = required(post.data, "writing a post").id;
for (let read = 0; read < 2; read += 1) {
  const found = await anyone.GET("/api/v1/{username}/post/{id}", { params: { path: { username: "ada", id } } });
  console.log("post", required(found.data, "reading the post").title, found.response.headers.get("X-Cache"));
}

const refused = await api.PATCH("/api/v1/{username}/post/{id}", { params: { path: { username: "ada", id } }, body: { title: "H" } });
const detail = required(refused.error, "being refused").detail;
console.log("refused", typeof detail === "string" ? detail : detail[0]?.type);

const created = await api.POST("/api/v1/tasks/task", { params: { query: { message: "hello" } } });
const taskId = required(created.data, "starting a task").id;
for (;;) {
  const task = required((await api.GET("/api/v1/tasks/task/{id}", { params: { path: { id: taskId } } })).data, "reading the task");
  if (task.status === "succeeded") {
    console.log("task", task.result);
    break;
  }
  await new Promise((resolve) => setTimeout(resolve, 500));
}
