"""One function per use case: load, decide, save; a conflict is tried again.

| use case | function |
|---|---|
| ask for a launch, or what would happen | `submit.submit`, `submit.prepare` |
| decide, or take it back | `decide.decide`, `decide.by_token`, `decide.show` |
| cancel, retry, stop, start, terminate | `change.cancel`, `change.retry`, `change.change` |
| put new events on the bus | `publish.publish` |
| send notices | `notify.tell`, with `notify.mailed` or `notify.posted` to send one |
| launch what is cleared | `launch.launch` |
| note what became of an instance | `observe.observe` |
| do what time asks for | `wake.wake` |
| read | `read.*` |
| put a policy in force | `policies.publish` |
"""
