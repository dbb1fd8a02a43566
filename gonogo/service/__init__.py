"""One function per use case: load, decide, save; a conflict is tried again.

| use case | function |
|---|---|
| ask for a launch, or what would happen | `submit.submit`, `submit.answer` |
| ask for something else, offer less, accept that | `amend.amend`, `amend.offer`, `amend.accept` |
| decide, or take it back | `decide.decide`, `decide.by_token`, `decide.show` |
| say how far a hook is | `decide.note`, `decide.note_by_token` |
| let somebody else decide in one's place | `delegate.delegate`, `delegate.withdraw`, `delegate.show` |
| cancel, retry, stop, start, terminate | `change.cancel`, `change.retry`, `change.change` |
| put new events on the bus | `publish.publish` |
| send notices | `notify.tell`, with `notify.mailed` or `notify.posted` to send one |
| launch what is cleared | `launch.launch` |
| note what became of an instance | `observe.observe` |
| do what time asks for | `wake.wake` |
| read, and ask why it waits | `read.*`, `why.why` |
| hold and let go of a budget | `budgets.*`, by the launcher, `observe` and `wake` |
| put a policy in force, or ask for another | `policies.publish`, `policies.propose` |
"""
