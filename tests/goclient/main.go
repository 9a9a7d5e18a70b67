// Command goclient uses a server as programs in Go do, by github.com/bradfitz/gomemcache.
//
// Its argument is HOST:PORT, or the path of a unix socket. It fails at the first answer that is not
// memcached's, and takes with it what is in the server.
package main

import (
	"bytes"
	"errors"
	"log"
	"os"
	"strings"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
)

func must(what string, err error) {
	if err != nil {
		log.Fatalf("%s: %v", what, err)
	}
}

func want(what string, err, expected error) {
	if !errors.Is(err, expected) {
		log.Fatalf("%s: %v, not %v", what, err, expected)
	}
}

func check(what string, holds bool) {
	if !holds {
		log.Fatal(what)
	}
}

func value(client *memcache.Client, key string) []byte {
	item, err := client.Get(key)
	must("get "+key, err)
	return item.Value
}

func main() {
	client := memcache.New(os.Args[1])
	client.Timeout = 20 * time.Second
	must("ping", client.Ping())
	must("flush_all", client.FlushAll())

	_, err := client.Get("a")
	want("get of nothing", err, memcache.ErrCacheMiss)
	must("set", client.Set(&memcache.Item{Key: "a", Value: []byte("one"), Flags: 4294967295}))
	item, err := client.Get("a")
	must("get", err)
	check("value and flags", string(item.Value) == "one" && item.Flags == 4294967295)

	want("add", client.Add(&memcache.Item{Key: "a", Value: []byte("x")}), memcache.ErrNotStored)
	must("add", client.Add(&memcache.Item{Key: "b", Value: []byte("two")}))
	want("replace", client.Replace(&memcache.Item{Key: "c"}), memcache.ErrNotStored)
	must("replace", client.Replace(&memcache.Item{Key: "b", Value: []byte("2")}))
	must("append", client.Append(&memcache.Item{Key: "b", Value: []byte("3")}))
	must("prepend", client.Prepend(&memcache.Item{Key: "b", Value: []byte("1")}))
	check("appended and prepended", string(value(client, "b")) == "123")

	item, err = client.Get("a")
	must("gets", err)
	must("set", client.Set(&memcache.Item{Key: "a", Value: []byte("between")}))
	item.Value = []byte("late")
	want("cas", client.CompareAndSwap(item), memcache.ErrCASConflict)
	item, err = client.Get("a")
	must("gets", err)
	item.Value = []byte("in time")
	must("cas", client.CompareAndSwap(item))
	check("swapped", string(value(client, "a")) == "in time")

	number, err := client.Increment("b", 7)
	must("incr", err)
	check("130", number == 130)
	number, err = client.Decrement("b", 200)
	must("decr", err)
	check("0", number == 0)
	_, err = client.Increment("none", 1)
	want("incr", err, memcache.ErrCacheMiss)

	found, err := client.GetMulti([]string{"a", "none", "b"})
	must("get of many", err)
	check("two of three", len(found) == 2 && string(found["a"].Value) == "in time")

	must("touch", client.Touch("a", 100))
	want("touch", client.Touch("none", 100), memcache.ErrCacheMiss)
	must("delete", client.Delete("a"))
	want("delete", client.Delete("a"), memcache.ErrCacheMiss)

	long := strings.Repeat("k", 250)
	large := bytes.Repeat([]byte("large\r\nEND\r\n"), 1<<20)
	must("set", client.Set(&memcache.Item{Key: long, Value: large}))
	check("a large value", bytes.Equal(value(client, long), large))
	err = client.Set(&memcache.Item{Key: long + "k"})
	want("a key that is too long", err, memcache.ErrMalformedKey)

	must("set", client.Set(&memcache.Item{Key: "gone", Value: []byte("x"), Expiration: -1}))
	_, err = client.Get("gone")
	want("get of what has expired", err, memcache.ErrCacheMiss)
	must("flush_all", client.FlushAll())
	_, err = client.Get(long)
	want("get after flush_all", err, memcache.ErrCacheMiss)
}
