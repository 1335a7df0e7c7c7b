// Does something once for every event of PROCESS_EVENTS, in order, also when it is killed in between. With Go 1.26:
//
//	mkdir done && NATS_URL=nats://127.0.0.1:4222 go run . done
package main

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func must[T any](value T, err error) T {
	if err != nil && !os.IsExist(err) {
		panic(err)
	}
	return value
}

func main() {
	js := must(jetstream.New(must(nats.Connect(os.Getenv("NATS_URL"), nats.MaxReconnects(-1)))))
	// The broker remembers under this name what was acknowledged. One at a time, so that the order holds after a failure.
	place := jetstream.ConsumerConfig{Durable: "example-go", AckWait: 5 * time.Second, MaxAckPending: 1,
		FilterSubjects: []string{"core.process.>", "core.source.>"}}
	consumer := must(js.CreateOrUpdateConsumer(context.Background(), "PROCESS_EVENTS", place))
	messages := must(consumer.Messages(jetstream.WithMessagesErrOnMissingHeartbeat(false)))
	for {
		message := must(messages.Next())
		event := message.Headers() // the body has the rest
		if event.Get("Observe-Schema") == "1" && event.Get("Observe-Origin") != "initial" {
			// Here the work is a folder named by the id: it can be made once, however often it is tried.
			must(0, os.Mkdir(filepath.Join(os.Args[1], event.Get("Observe-Id")), 0o700))
		}
		must(0, message.DoubleAck(context.Background())) // only now: who dies before gets it again
	}
}
