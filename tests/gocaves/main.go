// Command gocaves serves one bucket of Couchbase's own newer mock, of one node, until it is killed.
//
// The module is imported and not built as its own program: that one has other buckets, and needs a
// step before it can be built. It listens on all interfaces, so it belongs into a network namespace.
package main

import (
	"encoding/binary"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/couchbase/gocbcore/v9/memd"
	"github.com/couchbaselabs/gocaves/mock"
	"github.com/couchbaselabs/gocaves/mock/mockauth"
	"github.com/couchbaselabs/gocaves/mock/mockimpl"
)

// uncompressed lets no client agree on compressed documents: an append to one would be to its
// compressed bytes.
func uncompressed(_ mock.KvClient, packet *memd.Packet, _ time.Time, next func()) {
	if packet.Magic == memd.CmdMagicReq && packet.Command == memd.CmdHello {
		var features []byte
		for at := 0; at+2 <= len(packet.Value); at += 2 {
			feature := packet.Value[at : at+2]
			if memd.HelloFeature(binary.BigEndian.Uint16(feature)) != memd.FeatureSnappy {
				features = append(features, feature...)
			}
		}
		packet.Value = features
	}
	next()
}

func serve(bucket, password string) (mock.Cluster, error) {
	cluster, err := mockimpl.NewCluster(mock.NewClusterOptions{NumVbuckets: 64})
	if err != nil {
		return nil, err
	}
	cluster.KvInHooks().Add(uncompressed)
	_, err = cluster.AddBucket(mock.NewBucketOptions{
		Name:         bucket,
		Type:         mock.BucketTypeCouchbase,
		FlushEnabled: true,
	})
	if err != nil {
		return nil, err
	}
	return cluster, cluster.Users().UpsertUser(mockauth.UpsertUserOptions{
		Username: bucket,
		Password: password,
		Roles:    []string{"admin"},
	})
}

// Its arguments: the bucket, which is the user's name too, and the password.
func main() {
	cluster, err := serve(os.Args[1], os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(cluster.ConnectionString())
	select {}
}
